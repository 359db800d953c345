"""JSON read the strict way (protocol section 2): what two parsers could read differently is refused."""

import json
import math
from typing import Any

import orjson

MAX_DEPTH = 16
"""Nesting of a payload; the payload object itself is 1."""


def loads(raw: bytes) -> Any:
    """Parse UTF-8 JSON.

    What orjson reads and writes back as the same bytes has no member twice and no other meaning, so
    it is taken at once; nearly every document is of this form. Everything else is read member by
    member, and only that way refuses.

    Raises:
        ValueError: Not UTF-8 or JSON, a byte order mark, a duplicate member, NaN or Infinity,
            a number that is not finite in IEEE double, an unpaired surrogate, or deep nesting.
    """
    try:
        value = orjson.loads(raw)
        plain = orjson.dumps(value) == raw
    except (ValueError, TypeError):
        plain = False
    if not plain:
        value = _member_by_member(raw)
    if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH:  # fewer cannot nest deeper
        _check_depth(value)
    return value


def reread(raw: bytes) -> Any:
    """What was read strictly before, or is only looked at; half the time of `loads`.

    Raises:
        ValueError: No JSON.
    """
    return orjson.loads(raw)


def dumps(value: Any) -> bytes:
    """JSON as the node writes it: UTF-8, no white space, members in the order given.

    Raises:
        ValueError: NaN, Infinity or an unpaired surrogate.
        TypeError: JSON has no such value.
    """
    try:
        written = orjson.dumps(value, option=_JSON_ONLY)
    except TypeError:
        written = b"null"
    if b"null" in written:  # orjson writes it for NaN too
        return _ENCODER.encode(value).encode()
    return written


def _member_by_member(raw: bytes) -> Any:
    text = raw.decode("utf-8")
    if text.startswith("\ufeff"):
        raise ValueError("a byte order mark stands before it; save it as UTF-8 without")
    try:
        value = _DECODER.decode(text)
    except RecursionError:
        raise ValueError(f"nested deeper than {MAX_DEPTH}") from None
    if "\\u" in text:
        _check_surrogates(value)
    return value


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member name stands twice in one object")
    return members


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is not finite in IEEE double")
    return number


def _integer(text: str) -> int:
    # 309 digits are the most that can be finite; int() would refuse 4,300 anyway.
    if len(text) > 308:
        _finite(text)
    return int(text)


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


_JSON_ONLY = (
    orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)
"""Nothing that `json` would not write."""
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
_DECODER = json.JSONDecoder(
    object_pairs_hook=_members,
    parse_float=_finite,
    parse_int=_integer,
    parse_constant=_no_constant,
)


_CONTAINERS = frozenset({dict, list})


def _check_depth(value: Any) -> None:
    level = [value] if type(value) in _CONTAINERS else []
    for _ in range(MAX_DEPTH):
        if not level:
            return
        level = [
            child
            for item in level
            for child in (item.values() if type(item) is dict else item)
            if type(child) in _CONTAINERS
        ]
    if level:
        raise ValueError(f"nested deeper than {MAX_DEPTH}")


def _check_surrogates(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("an unpaired surrogate") from None
