"""Base64url without padding (RFC 7515 section 2), canonical forms only."""

import binascii

ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def encode(raw: bytes) -> str:
    """Bytes as base64url text without padding."""
    standard = binascii.b2a_base64(raw, newline=False)
    return standard.translate(_URL).rstrip(b"=").decode("ascii")


def decode(text: str | bytes) -> bytes:
    """Base64url text without padding as bytes.

    Raises:
        ValueError: A character outside the alphabet, padding, or a last character
            with stray bits (two texts would then name the same bytes).
    """
    given = text.encode("ascii") if isinstance(text, str) else text
    rest = len(given) % 4
    try:
        if rest != 1 and (not rest or given[-1] in _LAST[rest]):
            standard = given.translate(_STANDARD) + b"=" * (-rest % 4)
            return binascii.a2b_base64(standard, strict_mode=True)
    except binascii.Error:
        pass
    raise ValueError("not canonical base64url without padding")


_STANDARD = bytes.maketrans(b"-_+/=", b"+/...")
"""The other alphabet; a dot is in neither."""
_URL = bytes.maketrans(b"+/", b"-_")
_LAST = {2: frozenset(b"AQgw"), 3: frozenset(b"AEIMQUYcgkosw048")}
"""The last characters that leave no stray bits, by the length of the last group."""
