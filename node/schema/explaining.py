"""The reference validator, jsonschema: the only one that refuses, and it says why.

Imported when a document is not accepted at once; it takes longer to load than most commands.
"""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker, ValidationError, validators

from node.schema import catalogue, keywords


@cache
def explaining(name: str) -> Draft202012Validator:
    """The reference validator of a schema."""
    schema = catalogue.load(name)
    _Validator.check_schema(schema)
    validator: Draft202012Validator = _Validator(schema, format_checker=_FORMATS)
    return validator


def errors(schema: dict[str, Any], instance: Any) -> list[str]:
    """What is wrong with a value, in words, against a schema without references."""
    found = _Validator(schema, format_checker=_FORMATS).iter_errors(instance)
    return [error.message for error in found]


def _explaining(check: Callable[[Any], str | None]) -> Any:
    def keyword(_: Any, wanted: bool, instance: Any, __: Any) -> Iterator[ValidationError]:
        if wanted and (wrong := check(instance)) is not None:
            yield ValidationError(wrong)

    return keyword


def _is_integer(_: Any, instance: Any) -> bool:
    # JSON Schema takes 1.0 for an integer; signed data has no float at all.
    return isinstance(instance, int) and not isinstance(instance, bool)


_FORMATS = FormatChecker(formats=())
_FORMATS.checks("date", raises=ValueError)(keywords.is_date)
_Validator = validators.extend(
    Draft202012Validator,
    {word: _explaining(check) for word, check in keywords.ANNOTATIONS.items()}
    # The library's own takes quadratic time on lists of mixed types.
    | {"uniqueItems": _explaining(keywords.unique)},
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer),
)
