"""The log: documents, entries and the nodes of the tree. Append only."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from node.crew import travels
from node.documents import SignedDocument, payload
from node.ledger.database import Transaction
from node.log import tree


@travels
@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the log. `jws` is None where the document is missing."""

    index: int
    doc_id: str
    typ: str
    iss: str
    iat: int
    leaf: bytes
    recorded_at: int
    jws: bytes | None


_ENTRY = (
    "SELECT e.idx, e.doc_id, d.typ, d.iss, d.iat, e.leaf, e.recorded_at, d.jws "
    "FROM entries e LEFT JOIN documents d USING (idx)"
)


def belong_to(tx: Transaction, origin: str) -> str:
    """The log's origin; a new ledger takes the one given, and keeps it."""
    tx.execute("INSERT OR IGNORE INTO home (one, origin) VALUES (1, ?)", (origin,))
    (kept,) = tx.execute("SELECT origin FROM home").fetchone()
    return str(kept)


def append(tx: Transaction, signed: Sequence[SignedDocument], origin: str, at_s: int) -> int:
    """Add documents to the log of `origin`, in order; returns the index of the first.

    Documents, entries and tree nodes go into the caller's transaction. The tree's edge is read
    here, so several processes may append.
    """
    leaves = [(one.doc_id, tree.entry_leaf(origin, one.digest), at_s) for one in signed]
    first = place(tx, leaves)
    tx.executemany(
        "INSERT INTO documents (idx, doc_id, typ, iss, iat, jws) VALUES (?, ?, ?, ?, ?, ?)",
        [
            (index, one.doc_id, one.typ, one.iss, one.claims["iat"], one.raw)
            for index, one in enumerate(signed, first)
        ],
    )
    return first


def place(tx: Transaction, leaves: Sequence[tuple[str, bytes, int]]) -> int:
    """Add entries (doc id, leaf, second) and their tree nodes.

    Returns:
        The index of the first.
    """
    first = size(tx)
    edge = tree.Edge(first, node_getter(tx))
    # Above the leaves, which stand in their entries; in the order of the table, which is twice as fast.
    nodes = sorted(node for _, leaf, _ in leaves for node in edge.append(leaf) if node[0])
    tx.executemany(
        "INSERT INTO entries (idx, doc_id, leaf, recorded_at) VALUES (?, ?, ?, ?)",
        [(index, *entry) for index, entry in enumerate(leaves, first)],
    )
    tx.executemany("INSERT INTO nodes (level, idx, hash) VALUES (?, ?, ?)", nodes)
    return first


def size(tx: Transaction) -> int:
    """Number of entries."""
    (last,) = tx.execute("SELECT max(idx) FROM entries").fetchone()
    return 0 if last is None else int(last) + 1


def node_getter(tx: Transaction) -> tree.GetNode:
    """Read access to the stored subtrees, of which the smallest are the leaves."""

    def get(level: int, index: int) -> bytes:
        if level:
            found = tx.execute("SELECT hash FROM nodes WHERE level = ? AND idx = ?", (level, index))
        else:
            found = tx.execute("SELECT leaf FROM entries WHERE idx = ?", (index,))
        row = found.fetchone()
        if row is None:
            raise LookupError(f"node {level}/{index} of the tree is missing")
        return bytes(row[0])

    return get


def root(tx: Transaction, at_size: int | None = None) -> bytes:
    """Root of the tree, or of its first `at_size` entries."""
    return tree.root(size(tx) if at_size is None else at_size, node_getter(tx))


def entry(tx: Transaction, index: int) -> Entry | None:
    """One entry."""
    row = tx.execute(f"{_ENTRY} WHERE e.idx = ?", (index,)).fetchone()
    return None if row is None else Entry(*row)


def by_doc_id(tx: Transaction, doc_id: str) -> Entry | None:
    """The entry of a document."""
    row = tx.execute(f"{_ENTRY} WHERE d.doc_id = ?", (doc_id,)).fetchone()
    return None if row is None else Entry(*row)


def listed(tx: Transaction, after: int, limit: int) -> list[Entry]:
    """Entries with an index from `after` on, oldest first."""
    rows = tx.execute(f"{_ENTRY} WHERE e.idx >= ? ORDER BY e.idx LIMIT ?", (after, limit))
    return [Entry(*row) for row in rows]


def first_since(tx: Transaction, at_s: int) -> int:
    """The index of the first entry recorded at a second or later; the log's size if there is none.

    Found by halving, as entries are recorded in the order of time; a clock that was set back makes
    it begin earlier at most.
    """
    low, high = 0, size(tx)
    while low < high:
        middle = (low + high) // 2
        (recorded,) = tx.execute(
            "SELECT recorded_at FROM entries WHERE idx = ?", (middle,)
        ).fetchone()
        low, high = (middle + 1, high) if recorded < at_s else (low, middle)
    return low


def walk(tx: Transaction) -> Iterator[Entry]:
    """All entries, oldest first, without holding them in memory."""
    for row in tx.execute(f"{_ENTRY} ORDER BY e.idx"):
        yield Entry(*row)


def document(tx: Transaction, doc_id: str) -> bytes | None:
    """The exact bytes of a document in the log."""
    row = tx.execute("SELECT jws FROM documents WHERE doc_id = ?", (doc_id,)).fetchone()
    return None if row is None else bytes(row["jws"])


def claims(jws: bytes) -> Mapping[str, Any]:
    """The payload of a document of this ledger, not to be changed; it was verified when recorded."""
    return _known(jws) if len(jws) <= _KEPT_BYTES else payload(jws)


_KEPT_BYTES = 8192
"""Longer documents are rare, and would fill the memory."""

_known = lru_cache(maxsize=1024)(payload)
"""An act reads its certificate half a dozen times: to draft, to judge, to tell of it."""
