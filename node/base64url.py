"""Base64url without padding (RFC 7515 section 2), canonical forms only."""

import base64
import binascii


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
    try:
        raw = base64.b64decode(given.translate(_STANDARD) + b"=" * (-len(given) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError(f"not base64url: {error}") from None
    if base64.urlsafe_b64encode(raw).rstrip(b"=") != given:
        raise ValueError("not canonical base64url without padding")
    return raw


_STANDARD = bytes.maketrans(b"-_", b"+/")
