"""C2SP signed notes and tlog checkpoints, with one signature of type 0x01.

Signing and checking are passed in: a function over bytes, so this module holds no keys.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from node.log.tree import HASH_BYTES

MAX_NOTE_BYTES = 8 * 1024
"""A checkpoint has some 200 bytes; 16 further signatures fit."""

_ED25519 = b"\x01"
_SIZE = re.compile(r"0|[1-9][0-9]{0,15}")
_SIGNATURE_LINE = re.compile(r"— ([^\s+]+) ([A-Za-z0-9+/]+={0,2})")

Sign = Callable[[bytes], bytes]
Check = Callable[[bytes, bytes], bool]


class NoteError(ValueError):
    """The note does not parse, is of another origin, or its signature does not verify."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log's size and root as its owner signed them; `note` is the exact text."""

    origin: str
    size: int
    root: bytes
    note: str


def key_id(origin: str, public: bytes) -> bytes:
    """The four bytes that name an Ed25519 key in a note (C2SP signed-note)."""
    return hashlib.sha256(origin.encode() + b"\n" + _ED25519 + public).digest()[:4]


def vkey(origin: str, public: bytes) -> str:
    """A verifier key as C2SP writes it: name, key id, key."""
    key = base64.b64encode(_ED25519 + public).decode()
    return f"{origin}+{key_id(origin, public).hex()}+{key}"


def sign_checkpoint(origin: str, size: int, root: bytes, public: bytes, sign: Sign) -> Checkpoint:
    """Make and sign the checkpoint of a tree."""
    text = f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n"
    signature = base64.b64encode(key_id(origin, public) + sign(text.encode())).decode()
    return Checkpoint(origin, size, root, f"{text}\n— {origin} {signature}\n")


def signed_by(note: str, origin: str, keys: Sequence[bytes]) -> bool:
    """Whether a note of ours names one of these keys in its signature; nothing is verified."""
    ids = {key_id(origin, public) for public in keys}
    line = _SIGNATURE_LINE.fullmatch(note.rstrip("\n").rpartition("\n")[2])
    return line is not None and base64.b64decode(line[2])[:4] in ids


def read_checkpoint(note: str, origin: str, keys: Sequence[tuple[bytes, Check]]) -> Checkpoint:
    """Parse a checkpoint and check its signature.

    Args:
        note: The text as received.
        origin: The origin expected.
        keys: The log's public keys, each with a function that checks a signature by it.
            Signatures by other keys are passed over; a wrong one by a known key refuses.

    Raises:
        NoteError: With what is wrong.
    """
    if len(note.encode("utf-8", "replace")) > MAX_NOTE_BYTES:
        raise NoteError(f"longer than {MAX_NOTE_BYTES} bytes")
    text, separator, signatures = note.partition("\n\n")
    if not separator or not signatures.endswith("\n"):
        raise NoteError("expected a text, a blank line and signature lines")
    lines = text.split("\n")
    if len(lines) != 3 or lines[0] != origin:
        raise NoteError(f"expected three lines, the first {origin}")
    if not _SIZE.fullmatch(lines[1]):
        raise NoteError("the size is no plain decimal number")
    root = _base64(lines[2])
    if len(root) != HASH_BYTES:
        raise NoteError("the root is not 32 bytes")
    _check_signatures(text + "\n", signatures[:-1].split("\n"), origin, keys)
    return Checkpoint(origin, int(lines[1]), root, note)


def _check_signatures(
    text: str, lines: list[str], origin: str, keys: Sequence[tuple[bytes, Check]]
) -> None:
    known = {key_id(origin, public): check for public, check in keys}
    verified = False
    for line in lines:
        match = _SIGNATURE_LINE.fullmatch(line)
        if not match:
            raise NoteError("a signature line does not parse")
        blob = _base64(match[2])
        check = known.get(blob[:4]) if match[1] == origin else None
        if check is None:
            continue
        if not check(text.encode(), blob[4:]):
            raise NoteError(f"the signature of {origin} does not verify")
        verified = True
    if not verified:
        raise NoteError(f"no signature by a known key of {origin}")


def _base64(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise NoteError(f"not base64: {error}") from None
    if base64.b64encode(raw).decode() != text:
        raise NoteError("not canonical base64")
    return raw
