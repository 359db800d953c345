"""What the schemas' own annotations mean, for both validators.

``x-text``: the text rules of protocol section 1. ``x-sorted``: sorted by code point, unique.
Each function returns what is wrong, or None.
"""

import json
import re
import unicodedata
from collections.abc import Callable
from datetime import date
from typing import Any

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]")


def text(value: Any) -> str | None:
    """NFC, no control characters, no bidirectional overrides, no white space at the ends."""
    if not isinstance(value, str) or (value.isascii() and _plain(value)):
        return None
    if _CONTROL.search(value):
        return "a control character in the text"
    if _BIDI.search(value):
        return "a bidirectional override or isolate in the text"
    if value != value.strip():
        return "white space at an end of the text"
    if not unicodedata.is_normalized("NFC", value):
        return "the text is not in Unicode form NFC"
    return None


def in_order(value: Any) -> str | None:
    """A list of strings is sorted by code point, without repetition."""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        expected = sorted(set(value))
        if value != expected:
            return f"expected sorted and unique {expected}, got {value}"
    return None


def unique(value: Any) -> str | None:
    """No item stands twice; in linear time, also for lists of mixed types."""
    if isinstance(value, list):
        seen = {json.dumps(item, sort_keys=True) for item in value}
        if len(seen) != len(value):
            return f"{len(value) - len(seen)} items stand twice"
    return None


def is_date(value: object) -> bool:
    """A real day, where the form is right already.

    Raises:
        ValueError: There is no such day.
    """
    if isinstance(value, str):
        date.fromisoformat(value)
    return True


ANNOTATIONS: dict[str, Callable[[Any], str | None]] = {"x-text": text, "x-sorted": in_order}


def _plain(value: str) -> bool:
    return value.isprintable() and value == value.strip()
