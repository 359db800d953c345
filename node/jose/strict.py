"""The strict parser of compact JWS (protocol section 2). Parses; believes nothing."""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from node import base64url, strict_json
from node.documents import MAX_DOCUMENT_BYTES, UnverifiedJws
from node.errors import refuse
from node.ids import DIGEST, DocId, Kid
from node.jose.algorithms import ALGORITHMS

_HEADER_MEMBERS = {"alg", "kid", "typ"}
_CACHED_BYTES = 512
"""Longer headers are none of ours; they are not kept in memory."""


@dataclass(frozen=True, slots=True)
class _Header:
    alg: str
    kid: Kid
    typ: str


def doc_digest(raw: bytes) -> bytes:
    """SHA-256 over the signing input; of bytes that do not parse, up to the last dot or all.

    Works on anything, so that a refused line has an identity too (protocol section 1).
    """
    end = raw.rfind(b".")
    return hashlib.sha256(raw if end < 0 else raw[:end]).digest()


def parse(raw: bytes, max_bytes: int = MAX_DOCUMENT_BYTES) -> UnverifiedJws:
    """Take a compact JWS apart without trusting it.

    Args:
        raw: The document, without any line end.
        max_bytes: Limit, checked before anything is decoded.

    Raises:
        RefusedError: ``too-large``, ``not-a-jws`` or ``bad-header``.
    """
    if len(raw) > max_bytes:
        raise refuse("KP-J-003", f"expected at most {max_bytes} bytes, got {len(raw)}")
    if raw.translate(None, base64url.ALPHABET) != b"..":
        raise refuse("KP-J-002", "expected base64url characters and exactly two dots")
    header_part, payload_part, signature_part = raw.split(b".")
    # The header's form comes before the payload's: of a foreign JWS it says most plainly what is wrong.
    header = _known(header_part) if len(header_part) <= _CACHED_BYTES else _header(header_part)
    claims = _json_part("payload", payload_part)
    if not isinstance(claims, dict):
        raise refuse("KP-J-002", "expected a JSON object as payload")
    try:
        signature = base64url.decode(signature_part)
    except ValueError as error:
        raise refuse("KP-J-002", f"signature: {error}") from None
    digest = doc_digest(raw)
    issuer = claims.get("iss")
    return UnverifiedJws(
        raw=raw,
        alg=header.alg,
        kid=header.kid,
        typ=header.typ,
        doc_id=DocId(base64url.encode(digest)),
        digest=digest,
        signature=signature,
        claimed_issuer=issuer if isinstance(issuer, str) else "",
        unverified=claims,
    )


def _json_part(name: str, part: bytes) -> Any:
    try:
        return strict_json.loads(base64url.decode(part))
    except ValueError as error:
        raise refuse("KP-J-002", f"{name}: {error}") from None


def _header(part: bytes) -> _Header:
    header = _json_part("header", part)
    if not isinstance(header, dict) or header.keys() != _HEADER_MEMBERS:
        members = ", ".join(sorted(header)) if isinstance(header, dict) else "no object"
        raise refuse("KP-J-004", f"expected exactly alg, kid, typ, got {members}")
    alg, kid, typ = header["alg"], header["kid"], header["typ"]
    if not isinstance(alg, str) or alg not in ALGORITHMS:
        raise refuse("KP-J-004", f"alg: expected {' or '.join(ALGORITHMS)}, got {alg!r}")
    if not isinstance(kid, str) or not DIGEST.fullmatch(kid):
        raise refuse("KP-J-004", "kid: expected an RFC 7638 thumbprint of 43 characters")
    if not isinstance(typ, str):
        raise refuse("KP-J-004", "typ: expected a string")
    return _Header(alg, Kid(kid), typ)


_known = lru_cache(maxsize=1024)(_header)
"""A peer signs with a few keys, so nearly every header has been seen before."""
