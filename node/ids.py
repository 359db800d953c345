"""The names that run through the whole node, and their forms (protocol section 1).

Strings that could be confused are distinct types. The patterns are ASCII and
meant for `re.Pattern.fullmatch`.
"""

import re
from functools import lru_cache
from typing import NewType

Participant = NewType("Participant", str)
"""Two letters of a participant of the scheme: ``RU``, ``CN``, ``EU``."""

Authority = NewType("Authority", str)
"""Who signs: ``RU``, ``CN-HK``, ``EU-BE``, or ``X-SEC``."""

DocId = NewType("DocId", str)
"""Base64url of a doc digest, 43 characters."""

Kid = NewType("Kid", str)
"""RFC 7638 SHA-256 thumbprint of a public key, base64url, 43 characters."""

EVERYONE = Authority("*")
"""In ``aud`` of an alert: all peers."""

AUTHORITY = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,12})?|X-[A-Z0-9]{2,12}")
DIGEST = re.compile(r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")
"""Canonical base64url of 32 bytes: a doc id, a kid, a head, a hash."""


@lru_cache(maxsize=4096)
def participant_of(authority: str) -> Participant | None:
    """The participant an authority belongs to, or None for an ``X-`` body."""
    return None if authority.startswith("X-") else Participant(authority[:2])
