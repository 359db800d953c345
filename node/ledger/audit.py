"""`ledger verify`: every document, entry, node, checkpoint and head, from the bytes up."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from node import base64url
from node.crew import Crew
from node.documents import MAX_TRANSPORT_BYTES, UnverifiedJws
from node.domain.kinds import KINDS
from node.errors import RefusedError
from node.ids import Authority
from node.jose.strict import doc_digest, parse
from node.jose.verify import KeyRing, verify
from node.ledger import entries, streams
from node.ledger.checkpoints import CheckpointKeeper, all_checkpoints
from node.ledger.database import Transaction
from node.ledger.entries import Entry
from node.log import tree
from node.log.chain import START, Place
from node.log.note import Checkpoint, NoteError
from node.progress import EVERY, Progress, untold

MAX_PROBLEMS = 100

LOT = 256
"""Documents checked in one go: some seventy milliseconds of work."""

LOTS_AHEAD = 8
"""So many may wait, so that memory stays flat."""


@dataclass(slots=True)
class Audit:
    """What an audit found. `problems` name the entry, node, checkpoint or position."""

    size: int = 0
    root: bytes = tree.EMPTY_ROOT
    signatures: int = 0
    without_key: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def wrong(self, text: str) -> None:
        """Note a problem; after a hundred, the picture is clear."""
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(text)


def audit(
    tx: Transaction,
    keeper: CheckpointKeeper,
    ring: KeyRing,
    crew: Crew,
    progress: Progress = untold,
) -> Audit:
    """Verify the whole ledger on one consistent view of it.

    Recomputes each doc digest and leaf from the stored bytes, verifies each signature, rebuilds
    the tree, and holds stored nodes, checkpoints and stream heads against it. A key revoked later
    does not count against what was logged before; documents of authorities without a pinned key
    are counted apart.

    Args:
        tx: A reading transaction.
        keeper: Of this log.
        ring: Own and pinned public keys.
        crew: Helps with the documents.
        progress: Called now and then.
    """
    result, size = Audit(), entries.size(tx)
    if (damage := quick_check(tx)) is not None:
        result.wrong(f"the database file: {damage}")
    crew.expect(size)
    documents = _Documents(result, ring, crew)
    edge, nodes = tree.Edge(), _Nodes(tx)
    checkpoints = {point.size: point for point in all_checkpoints(tx)}
    _check_checkpoint(result, keeper, checkpoints, 0, tree.EMPTY_ROOT)
    for expected, entry in enumerate(entries.walk(tx)):
        if entry.index != expected:
            result.wrong(f"entry {expected} is missing")
            break
        if entry.leaf != tree.entry_leaf(keeper.origin, base64url.decode(entry.doc_id)):
            result.wrong(f"{_name(entry)}: the leaf is not that of the document")
        documents.check(entry)
        for level, index, value in edge.append(entry.leaf):
            if level and not nodes.have(level, index, value):
                result.wrong(f"node {level}/{index} of the tree is missing or changed")
        if edge.size in checkpoints:
            _check_checkpoint(result, keeper, checkpoints, edge.size, edge.root())
        if expected % EVERY == 0:
            progress("verifying", expected, size)
    documents.finish()
    progress("verifying", size, size)
    result.size, result.root = edge.size, edge.root()
    for beyond in sorted(size_ for size_ in checkpoints if size_ > result.size):
        result.wrong(f"checkpoint of size {beyond} is beyond the log's {result.size} entries")
    _check_filing(tx, result)
    _check_streams(tx, result)
    return result


class _Documents:
    """Checks the documents of entries, many at a time."""

    def __init__(self, result: Audit, ring: KeyRing, crew: Crew) -> None:
        self._result = result
        self._ring = ring
        self._crew = crew
        self._lot: list[Entry] = []
        self._waits: deque[Callable[[], list[str | None]]] = deque()

    def check(self, entry: Entry) -> None:
        if entry.jws is None:
            self._result.wrong(f"{_name(entry)}: its document is missing")
        elif entry.iss in self._ring:
            self._lot.append(entry)
        elif (wrong := _check_bytes(entry)) is not None:
            self._result.wrong(wrong)
        else:
            self._result.without_key += 1
        if len(self._lot) == LOT:
            self._begin()
        while len(self._waits) > LOTS_AHEAD:
            self._take()

    def finish(self) -> None:
        self._begin()
        while self._waits:
            self._take()

    def _begin(self) -> None:
        issuers = {Authority(entry.iss) for entry in self._lot}
        ring = {issuer: self._ring[issuer] for issuer in issuers}
        self._waits.append(self._crew.start(partial(_check_lot, ring), self._lot))
        self._lot = []

    def _take(self) -> None:
        for wrong in self._waits.popleft()():
            if wrong is None:
                self._result.signatures += 1
            else:
                self._result.wrong(wrong)


def _check_lot(ring: KeyRing, lot: Sequence[Entry]) -> list[str | None]:
    """What is wrong with each document, or None. All are parsed before the first is verified."""
    parsed = [_parse(entry) for entry in lot]
    return [
        one if isinstance(one, str) else _check_document(ring, entry, one)
        for entry, one in zip(lot, parsed, strict=True)
    ]


def _parse(entry: Entry) -> UnverifiedJws | str:
    assert entry.jws is not None
    try:
        return parse(entry.jws, MAX_TRANSPORT_BYTES)
    except RefusedError as error:
        return _check_bytes(entry) or f"{_name(entry)}: {error}"


def _check_document(ring: KeyRing, entry: Entry, untrusted: UnverifiedJws) -> str | None:
    if untrusted.doc_id != entry.doc_id:
        return _check_bytes(entry)
    try:
        signed = verify(untrusted, ring, KINDS[untrusted.typ].role, already_logged=True)
    except (RefusedError, KeyError) as error:
        return f"{_name(entry)}: {error}"
    if (signed.typ, signed.iss, signed.claims["iat"]) != (entry.typ, entry.iss, entry.iat):
        return f"{_name(entry)}: kind, issuer or time beside it are not those of the document"
    return None


def _check_bytes(entry: Entry) -> str | None:
    assert entry.jws is not None
    if base64url.encode(doc_digest(entry.jws)) != entry.doc_id:
        return f"{_name(entry)}: the stored bytes are not the document that was logged"
    return None


def _name(entry: Entry) -> str:
    return f"entry {entry.index} ({entry.doc_id})"


class _Nodes:
    """The stored nodes above the leaves, read level by level beside the tree that grows."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self._levels: dict[int, Iterator[tuple[int, bytes]]] = {}
        self._next: dict[int, tuple[int, bytes] | None] = {}

    def have(self, level: int, index: int, value: bytes) -> bool:
        """Whether a node is stored with this hash; asked in the order of each level."""
        if level not in self._levels:
            self._levels[level] = self._rows(level)
            self._next[level] = next(self._levels[level], None)
        row = self._next[level]
        while row is not None and row[0] <= index:
            self._next[level] = next(self._levels[level], None)
            if row[0] == index:
                return row[1] == value
            row = self._next[level]
        return False

    def _rows(self, level: int) -> Iterator[tuple[int, bytes]]:
        rows = self._tx.execute(
            "SELECT idx, hash FROM nodes WHERE level = ? ORDER BY idx", (level,)
        )
        return ((index, bytes(value)) for index, value in rows)


def _check_checkpoint(
    result: Audit,
    keeper: CheckpointKeeper,
    checkpoints: Mapping[int, Checkpoint],
    size: int,
    root: bytes,
) -> None:
    point = checkpoints.get(size)
    if point is None:
        return
    try:
        signed = keeper.read(point.note)
    except NoteError as error:
        result.wrong(f"checkpoint of size {size}: {error}")
        return
    if (signed.size, signed.root, point.root) != (size, root, root):
        result.wrong(f"checkpoint of size {size} is not that of the entries")


def _check_filing(tx: Transaction, result: Audit) -> None:
    for (index,) in tx.execute(
        "SELECT d.idx FROM documents d LEFT JOIN entries e USING (idx) WHERE d.doc_id IS NOT e.doc_id"
    ):
        result.wrong(f"entry {index}: its document is kept under another doc id")


def _check_streams(tx: Transaction, result: Audit) -> None:
    # A place taken on a peer's word after a loss has no document: the chain goes on from it.
    for table, rows_of in (
        ("stream_out", "SELECT peer, position, doc_id, head FROM stream_out "
         "UNION ALL SELECT peer, position, '', head FROM places_taken"),
        ("stream_in", "SELECT peer, position, doc_id, head FROM stream_in"),
    ):  # fmt: skip
        peer_before, place = "", START
        for peer, position, doc_id, head in tx.execute(f"{rows_of} ORDER BY peer, position"):
            before = place if peer == peer_before else START
            peer_before, place = peer, Place(position, bytes(head))
            if doc_id and place != before.then(base64url.decode(doc_id)):
                result.wrong(f"{table} of {peer}: position {position} does not follow")
    for peer, acknowledged in tx.execute("SELECT authority, acknowledged FROM peers").fetchall():
        last = streams.sent_place(tx, peer)
        if last is not None and last.position < acknowledged:
            result.wrong(
                f"stream_out of {peer}: ends at position {last.position}, {acknowledged} are acknowledged"
            )


def quick_check(tx: Transaction) -> str | None:
    """What SQLite finds wrong with the file, or None (``PRAGMA quick_check``)."""
    (text,) = tx.execute("PRAGMA quick_check(1)").fetchone()
    return None if text == "ok" else str(text)
