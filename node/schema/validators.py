"""Two validators of one schema: a fast one that accepts, and the reference that explains.

jsonschema-rs takes microseconds where jsonschema takes a third of a millisecond; nearly all
documents are good, so it goes first. What it does not accept is judged by jsonschema alone.
"""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import jsonschema_rs
from jsonschema import Draft202012Validator, FormatChecker, ValidationError, validators

from node.schema import catalogue, keywords


@cache
def explaining(name: str) -> Draft202012Validator:
    """The reference validator of a schema."""
    schema = catalogue.load(name)
    _Validator.check_schema(schema)
    validator: Draft202012Validator = _Validator(schema, format_checker=_FORMATS)
    return validator


def accepts(name: str, instance: Any) -> bool:
    """Whether an instance is surely good; False says nothing."""
    try:
        return _accepting(name).is_valid(instance) and not _has_float(instance)
    except ValueError:
        return False  # what it cannot represent, e.g. a huge number, is for the reference


@cache
def _accepting(name: str) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(
        catalogue.load(name),
        formats={"date": _is_date},
        validate_formats=True,
        keywords={word: _fast(check) for word, check in keywords.ANNOTATIONS.items()},
        offline=True,
    )


def _fast(check: Callable[[Any], str | None]) -> type:
    class Keyword:
        def __init__(self, _: Any, wanted: bool, __: Any) -> None:
            assert wanted is True

        def validate(self, instance: Any) -> None:
            if (wrong := check(instance)) is not None:
                raise ValueError(wrong)

    return Keyword


def _explaining(check: Callable[[Any], str | None]) -> Any:
    def keyword(_: Any, wanted: bool, instance: Any, __: Any) -> Iterator[ValidationError]:
        if wanted and (wrong := check(instance)) is not None:
            yield ValidationError(wrong)

    return keyword


def _has_float(value: Any) -> bool:
    # JSON Schema takes 1.0 for an integer; signed data has no float at all.
    if isinstance(value, dict):
        return any(map(_has_float, value.values()))
    if isinstance(value, list):
        return any(map(_has_float, value))
    return isinstance(value, float)


def _is_integer(_: Any, instance: Any) -> bool:
    return isinstance(instance, int) and not isinstance(instance, bool)


def _is_date(value: str) -> bool:
    try:
        return keywords.is_date(value)
    except ValueError:
        return False


_FORMATS = FormatChecker(formats=())
_FORMATS.checks("date", raises=ValueError)(keywords.is_date)
_Validator = validators.extend(
    Draft202012Validator,
    {word: _explaining(check) for word, check in keywords.ANNOTATIONS.items()}
    # The library's own takes quadratic time on lists of mixed types.
    | {"uniqueItems": _explaining(keywords.unique)},
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer),
)
