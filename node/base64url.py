"""Base64url without padding (RFC 7515 section 2), canonical forms only."""

import base64
import binascii

ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def encode(raw: bytes) -> str:
    """Bytes as base64url text without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def decode(text: str | bytes) -> bytes:
    """Base64url text without padding as bytes.

    Raises:
        ValueError: A character outside the alphabet, padding, or a last character
            with stray bits (two texts would then name the same bytes).
    """
    given = text.encode("ascii") if isinstance(text, str) else text
    rest = len(given) % 4
    if given.translate(None, ALPHABET) or rest == 1 or (rest and given[-1] not in _LAST[rest]):
        raise ValueError("not canonical base64url without padding")
    return binascii.a2b_base64(given.translate(_STANDARD) + b"=" * (-rest % 4))


_STANDARD = bytes.maketrans(b"-_", b"+/")
_LAST = {2: frozenset(b"AQgw"), 3: frozenset(b"AEIMQUYcgkosw048")}
"""The last characters that leave no stray bits, by the length of the last group."""
