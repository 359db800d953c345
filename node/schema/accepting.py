"""The accepting validator, jsonschema-rs; it never refuses.

It takes microseconds where the reference takes a third of a millisecond, and nearly all documents
are good, so it goes first.
"""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from node.schema import catalogue, keywords

if TYPE_CHECKING:
    import jsonschema_rs


def accepts(name: str, instance: Any) -> bool:
    """Whether an instance is surely good; False says nothing."""
    try:
        return _validator(name).is_valid(instance)
    except ValueError:
        return False  # what it cannot represent, e.g. a huge number, is for the reference


@cache
def _validator(name: str) -> "jsonschema_rs.Draft202012Validator":
    import jsonschema_rs  # late: commands that only look at the ledger check nothing

    checks = {**keywords.ANNOTATIONS, _NO_FLOAT: _no_float}
    return jsonschema_rs.Draft202012Validator(
        _quick(catalogue.load(name)),
        validate_formats=True,
        keywords={word: _keyword(check) for word, check in checks.items()},
        offline=True,
    )


_NO_FLOAT = "x-no-float"
_NO_LINE_END = r"(?!\n)"
_LETTERS = "!-~\u00a1-\u00ac\u00ae-\u02ff\u0400-\u0481\u048a-\u052f\u4e00-\u9fff"
"""Latin, Cyrillic and Han without anything that combines or is invisible: surely in form NFC."""

_FIRST: dict[str, Any] = {
    "x-text": {"pattern": f"^[{_LETTERS}]([ {_LETTERS}]*[{_LETTERS}])?$"},
    "x-sorted": {"maxItems": 1},
}
"""What spares most values a question in Python, by annotation."""


def _quick(schema: Any) -> Any:
    """The same schema in a form that seldom has to call back.

    JSON Schema takes 1.0 for an integer; signed data has no float at all, and only an integer's
    place could hold one. Annotations are asked of what is not plainly good. What keeps Python's
    ``$`` from a line end says nothing to Rust, whose ``$`` is the end, and makes its patterns slow.
    """
    if isinstance(schema, list):
        return [_quick(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    quick = {word: _quick(value) for word, value in schema.items()}
    if isinstance(quick.get("pattern"), str):
        quick["pattern"] = quick["pattern"].replace(_NO_LINE_END, "")
    if quick.get("type") == "integer":
        quick[_NO_FLOAT] = True
    for word, plain in _FIRST.items():
        if quick.get(word) is True:
            asked = {"anyOf": [plain, {word: quick.pop(word)}]}
            quick["allOf"] = [*quick.get("allOf", ()), asked]
    return quick


def _keyword(check: Callable[[Any], str | None]) -> type:
    class Keyword:
        def __init__(self, _: Any, wanted: bool, __: Any) -> None:
            assert wanted is True

        def validate(self, instance: Any) -> None:
            if (wrong := check(instance)) is not None:
                raise ValueError(wrong)

    return Keyword


def _no_float(value: Any) -> str | None:
    return "a float" if isinstance(value, float) else None
