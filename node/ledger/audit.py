"""`ledger verify`: every document, entry, node, checkpoint and head, from the bytes up."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from node import base64url
from node.documents import MAX_TRANSPORT_BYTES
from node.domain.kinds import KINDS
from node.errors import RefusedError
from node.jose.strict import doc_digest, parse
from node.jose.verify import KeyRing, verify
from node.ledger import entries
from node.ledger.checkpoints import CheckpointKeeper, all_checkpoints
from node.ledger.database import Transaction
from node.ledger.entries import Entry
from node.log import tree
from node.log.chain import START, Place
from node.log.note import Checkpoint, NoteError

MAX_PROBLEMS = 100

Progress = Callable[[int, int], None]
"""Called with entries done and entries in all."""


@dataclass(slots=True)
class Audit:
    """What an audit found. `problems` name the entry, node, checkpoint or position."""

    size: int = 0
    root: bytes = tree.EMPTY_ROOT
    signatures: int = 0
    without_key: int = 0
    erased: int = 0
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
    tx: Transaction, keeper: CheckpointKeeper, ring: KeyRing, progress: Progress | None = None
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
        progress: Called now and then.
    """
    result, size = Audit(), entries.size(tx)
    get = entries.node_getter(tx)
    edge: dict[tuple[int, int], bytes] = {}
    checkpoints = {point.size: point for point in all_checkpoints(tx)}
    _check_checkpoint(result, keeper, checkpoints, 0, tree.EMPTY_ROOT)
    for expected, entry in enumerate(entries.walk(tx)):
        if entry.index != expected:
            result.wrong(f"entry {expected} is missing")
            break
        _check_document(result, keeper.origin, ring, entry)
        for level, index, value in tree.appended(expected, entry.leaf, lambda *at: edge[at]):
            edge[level, index] = value
            _check_node(result, get, level, index, value)
        result.size = expected + 1
        if result.size in checkpoints:
            root = tree.root(result.size, lambda *at: edge[at])
            _check_checkpoint(result, keeper, checkpoints, result.size, root)
        if progress is not None and expected % 500 == 0:
            progress(expected, size)
        _forget_inner(edge, expected + 1)
    result.root = tree.root(result.size, lambda *at: edge[at])
    for beyond in sorted(size_ for size_ in checkpoints if size_ > result.size):
        result.wrong(f"checkpoint of size {beyond} is beyond the log's {result.size} entries")
    _check_streams(tx, result)
    return result


def _check_document(result: Audit, origin: str, ring: KeyRing, entry: Entry) -> None:
    name = f"entry {entry.index} ({entry.doc_id})"
    if entry.leaf != tree.entry_leaf(origin, base64url.decode(entry.doc_id)):
        result.wrong(f"{name}: the leaf is not that of the document")
    if entry.jws is None:
        result.erased += 1
        return
    if base64url.encode(doc_digest(entry.jws)) != entry.doc_id:
        result.wrong(f"{name}: the stored bytes are not the document that was logged")
        return
    try:
        untrusted = parse(entry.jws, MAX_TRANSPORT_BYTES)
        if untrusted.claimed_issuer not in ring:
            result.without_key += 1
            return
        verify(untrusted, ring, KINDS[untrusted.typ].role, already_logged=True)
        result.signatures += 1
    except (RefusedError, KeyError) as error:
        result.wrong(f"{name}: {error}")


def _check_node(result: Audit, get: tree.GetNode, level: int, index: int, value: bytes) -> None:
    try:
        stored = get(level, index)
    except LookupError:
        stored = b""
    if stored != value:
        result.wrong(f"node {level}/{index} of the tree is missing or changed")


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


def _forget_inner(edge: dict[tuple[int, int], bytes], size: int) -> None:
    """Keep only the roots of complete subtrees at the right edge, so memory stays flat."""
    if size % 1024 == 0:
        keep = {(level, (size >> level) - 1) for level in range(64) if (size >> level) % 2}
        for at in [at for at in edge if at not in keep]:
            del edge[at]


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


def quick_check(tx: Transaction) -> str | None:
    """What SQLite finds wrong with the file, or None (``PRAGMA quick_check``)."""
    (text,) = tx.execute("PRAGMA quick_check(1)").fetchone()
    return None if text == "ok" else str(text)
