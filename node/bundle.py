"""The bundle's framing: one compact JWS a line (protocol section 3)."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from node import base64url
from node.errors import ProblemError
from node.jose.strict import doc_digest
from node.log.chain import Place

MEDIA_TYPE = "application/vnd.kp.bundle"
RECEIPT_TYPE = "application/jose"
PROTOCOL = "KPX/1"
MAX_BUNDLE_BYTES = 8 * 1024 * 1024
MAX_DOCUMENTS = 1000

_LINE = re.compile(rb"[\x20-\x7e]+")
_IN_LINES = bytes(range(0x20, 0x7F)) + b"\n"


def assemble(manifest: bytes, documents: Sequence[bytes]) -> bytes:
    """The bytes of a bundle."""
    return b"".join(line + b"\n" for line in (manifest, *documents))


def body_digest(documents: Sequence[bytes]) -> str:
    """SHA-256 over all bytes after the manifest's line."""
    return base64url.encode(hashlib.sha256(b"".join(d + b"\n" for d in documents)).digest())


def split(rest: bytes) -> list[bytes]:
    """The lines after the manifest's.

    Raises:
        ProblemError: ``malformed-bundle``.
    """
    if not rest:
        return []
    if not rest.endswith(b"\n"):
        raise malformed("the last line has no line end")
    lines = rest[:-1].split(b"\n")
    if len(lines) > MAX_DOCUMENTS:
        raise malformed(f"expected at most {MAX_DOCUMENTS} documents, got {len(lines)}")
    if rest.translate(None, _IN_LINES) or b"" in lines:
        number = next(n for n, line in enumerate(lines, 2) if not _LINE.fullmatch(line))
        raise malformed(f"line {number} is empty or has bytes outside 0x20 to 0x7E")
    return lines


def check_against_manifest(
    body: Mapping[str, Any], lines: Sequence[bytes], rest: bytes
) -> list[Place]:
    """Hold the lines against the manifest that names them.

    Args:
        body: The manifest's body, of the right form.
        lines: Output of `split`.
        rest: The bytes they came from.

    Returns:
        The place in the stream of each document.

    Raises:
        ProblemError: ``malformed-bundle``.
    """
    stream = body["stream"]
    count = stream["last"] - stream["first"] + 1
    if not count == len(lines) == len(body["documents"]) == len(body["indexes"]):
        raise malformed(
            f"positions {stream['first']} to {stream['last']}, {len(body['documents'])} doc ids, "
            f"{len(body['indexes'])} indexes and {len(lines)} lines do not agree"
        )
    if base64url.encode(hashlib.sha256(rest).digest()) != body["digest"]:
        raise malformed("the digest is not that of the lines")
    places, place = [], Place(stream["first"] - 1, base64url.decode(stream["prev_head"]))
    for number, (line, doc_id) in enumerate(zip(lines, body["documents"], strict=True), 2):
        digest = doc_digest(line)
        if base64url.encode(digest) != doc_id:
            raise malformed(f"line {number} is not the document {doc_id}")
        place = place.then(digest)
        places.append(place)
    if place.head != base64url.decode(stream["head"]):
        raise malformed("the heads do not follow from the documents")
    return places


def malformed(detail: str) -> ProblemError:
    """A ``malformed-bundle`` problem."""
    return ProblemError("malformed-bundle", detail)
