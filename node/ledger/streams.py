"""The two streams of each pair: positions and heads, sent and received (protocol section 3)."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from node import base64url
from node.domain.kinds import KINDS
from node.errors import Finding
from node.ledger.database import EACH, Transaction, each
from node.ledger.sqlite import append_only
from node.log.chain import START, Place


@dataclass(frozen=True, slots=True)
class Waiting:
    """A document in a stream to a peer."""

    position: int
    doc_id: str
    head: bytes
    index: int
    jws: bytes


_ALSO = {"stream_out": ("places_taken",)}
"""Where else places of a stream stand: those taken on the peer's word."""


def sent_place(tx: Transaction, peer: str, position: int | None = None) -> Place | None:
    """A place in the stream to a peer, the last one by default."""
    return _place(tx, "stream_out", peer, position)


def received_place(tx: Transaction, peer: str, position: int | None = None) -> Place | None:
    """A place in the stream from a peer, the last one by default."""
    return _place(tx, "stream_in", peer, position)


def _place(tx: Transaction, table: str, peer: str, position: int | None) -> Place | None:
    if position == 0:
        return START
    where = "" if position is None else "AND position = ?"
    values = (peer,) if position is None else (peer, position)
    newest: Place | None = None
    for one in (table, *_ALSO.get(table, ())):
        row = tx.execute(
            f"SELECT position, head FROM {one} WHERE peer = ? {where} "
            "ORDER BY position DESC LIMIT 1",
            values,
        ).fetchone()
        if row is not None and (newest is None or row["position"] > newest.position):
            newest = Place(row["position"], bytes(row["head"]))
    return START if newest is None and position is None else newest


def continue_at(tx: Transaction, peer: str, after: int, place: Place, at_s: int) -> None:
    """Take a place in the stream to a peer on its word; what is queued after `after` is dropped.

    Only for a ledger that has lost documents (`node.ledger.recovery`): the stream's table forbids
    it otherwise.
    """
    _drop(tx, peer, after)
    tx.execute(
        "INSERT OR IGNORE INTO places_taken (peer, position, head, at) VALUES (?, ?, ?, ?)",
        (peer, place.position, place.head, at_s),
    )


def put_first(tx: Transaction, peer: str, after: int, doc_id: str, at_s: int) -> None:
    """Put a document of the log before all that the peer cannot have been offered yet.

    Args:
        tx: The transaction.
        peer: Whose stream.
        after: The last position that was ever offered.
        doc_id: The document.
        at_s: Now.
    """
    behind = waiting_ids(tx, peer, after)
    _drop(tx, peer, after)
    enqueue(tx, peer, [doc_id, *behind], at_s)


def _drop(tx: Transaction, peer: str, after: int) -> None:
    tx.execute("DROP TRIGGER stream_out_no_delete")
    tx.execute("DELETE FROM stream_out WHERE peer = ? AND position > ?", (peer, after))
    append_only(tx, "stream_out", "DELETE")


def sent_position(tx: Transaction, peer: str, doc_id: str) -> int | None:
    """Where a document stands in the stream to a peer, the last time; None if it does not."""
    row = tx.execute(
        "SELECT max(position) AS position FROM stream_out WHERE doc_id = ? AND peer = ?",
        (doc_id, peer),
    ).fetchone()
    return None if row["position"] is None else int(row["position"])


def enqueue(tx: Transaction, peer: str, doc_ids: Iterable[str], at_s: int) -> None:
    """Put documents of the log at the next positions of the stream to a peer."""
    place = sent_place(tx, peer)
    assert place is not None
    rows = []
    for doc_id in doc_ids:
        place = place.then(base64url.decode(doc_id))
        rows.append((peer, place.position, doc_id, place.head, at_s))
    tx.executemany(
        "INSERT INTO stream_out (peer, position, doc_id, head, queued_at) VALUES (?, ?, ?, ?, ?)",
        rows,
    )


def waiting(tx: Transaction, peer: str, after: int, limit: int) -> list[Waiting]:
    """Documents in the stream to a peer after a position, in order."""
    rows = tx.execute(
        "SELECT s.position, s.doc_id, s.head, d.idx, d.jws FROM stream_out s "
        "JOIN documents d USING (doc_id) "
        "WHERE s.peer = ? AND s.position > ? ORDER BY s.position LIMIT ?",
        (peer, after, limit),
    )
    return [Waiting(*row) for row in rows]


def waiting_ids(tx: Transaction, peer: str, after: int) -> list[str]:
    """The doc ids in the stream to a peer after a position, in order."""
    rows = tx.execute(
        "SELECT doc_id FROM stream_out WHERE peer = ? AND position > ? ORDER BY position",
        (peer, after),
    )
    return [row["doc_id"] for row in rows]


def oldest_waiting_s(tx: Transaction, peer: str, after: int) -> int | None:
    """When the oldest document after a position was queued."""
    row = tx.execute(
        "SELECT queued_at FROM stream_out WHERE peer = ? AND position = ?", (peer, after + 1)
    ).fetchone()
    return None if row is None else int(row["queued_at"])


def receive(tx: Transaction, peer: str, held: Iterable[tuple[Place, str]], at_s: int) -> None:
    """Note which documents hold positions of the stream from a peer, whatever their outcome."""
    tx.executemany(
        "INSERT INTO stream_in (peer, position, doc_id, head, received_at) VALUES (?, ?, ?, ?, ?)",
        [(peer, place.position, doc_id, place.head, at_s) for place, doc_id in held],
    )


def received_indexes(tx: Transaction, peer: str, doc_ids: Iterable[str]) -> dict[str, int]:
    """The log indexes of those documents that were accepted from this peer (duplicates)."""
    rows = tx.execute(
        f"SELECT doc_id, idx, typ FROM documents WHERE doc_id IN {EACH} AND iss = ?",
        (each(doc_ids), peer),
    )
    # What a peer signed came from it; but its receipts are no part of its stream.
    return {row["doc_id"]: row["idx"] for row in rows if KINDS[row["typ"]].travels}


def known_to(tx: Transaction, peer: str, index: int) -> bool:
    """Whether a log index was named to a peer: a document sent to it or accepted from it."""
    row = tx.execute("SELECT doc_id, typ, iss FROM documents WHERE idx = ?", (index,)).fetchone()
    if row is None:
        return False
    accepted = row["iss"] == peer and KINDS[row["typ"]].travels
    return accepted or was_sent(tx, peer, row["doc_id"])


def settle(
    tx: Transaction, peer: str, results: Sequence[dict[str, Any]], receipt: str, at_s: int
) -> None:
    """Keep what a peer's receipt says of each document; the last outcome counts."""
    tx.executemany(
        "INSERT INTO outcomes (peer, doc_id, outcome, idx, errors, receipt, at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (peer, doc_id) DO UPDATE SET "
        "outcome = excluded.outcome, idx = excluded.idx, errors = excluded.errors, "
        "receipt = excluded.receipt, at = excluded.at",
        [
            (
                peer,
                result["doc"],
                result["outcome"],
                result.get("index"),
                json.dumps(errors, ensure_ascii=False)
                if (errors := result.get("errors"))
                else "[]",
                receipt,
                at_s,
            )
            for result in results
        ],
    )


def outcome(tx: Transaction, peer: str, doc_id: str) -> dict[str, Any] | None:
    """What a peer's last receipt says of a document, or None."""
    row = tx.execute(
        "SELECT outcome, idx, errors, receipt, at FROM outcomes WHERE peer = ? AND doc_id = ?",
        (peer, doc_id),
    ).fetchone()
    return None if row is None else {**dict(row), "errors": json.loads(row["errors"])}


def forget_outcomes(tx: Transaction) -> None:
    """Before the receipts are read again."""
    tx.execute("DELETE FROM outcomes")


def was_sent(tx: Transaction, peer: str, doc_id: str) -> bool:
    """Whether a document stands in the stream to a peer."""
    row = tx.execute(
        "SELECT 1 FROM stream_out WHERE doc_id = ? AND peer = ? LIMIT 1", (doc_id, peer)
    ).fetchone()
    return row is not None


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A refused document kept for another judgement; `jws` is None if it was too large."""

    position: int
    doc_id: str
    size_bytes: int
    jws: bytes | None
    errors: list[dict[str, Any]]
    judged_at: int


def quarantine(
    tx: Transaction, peer: str, position: int, doc_id: str, raw: bytes,
    findings: Sequence[Finding], at_s: int, *, keep: bool,
) -> None:  # fmt: skip
    """Keep a refused document with its codes; of a too large one only id and size."""
    errors = json.dumps([f.as_json() for f in findings], ensure_ascii=False)
    tx.execute(
        "INSERT INTO quarantine (peer, position, doc_id, size_bytes, jws, errors, judged_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (peer, position, doc_id, len(raw), raw if keep else None, errors, at_s),
    )


def quarantined(tx: Transaction, peer: str) -> list[Quarantined]:
    """What is in quarantine from a peer, in stream order."""
    rows = tx.execute(
        "SELECT position, doc_id, size_bytes, jws, errors, judged_at FROM quarantine "
        "WHERE peer = ? ORDER BY position",
        (peer,),
    )
    return [_quarantined(row) for row in rows]


def quarantine_bytes(tx: Transaction, peer: str) -> int:
    """How much of a peer's refused documents is kept."""
    (total,) = tx.execute(
        "SELECT coalesce(sum(length(jws)), 0) FROM quarantine WHERE peer = ?", (peer,)
    ).fetchone()
    return int(total)


def quarantine_count(tx: Transaction, peer: str, after: int) -> int:
    """How many of a peer's documents beyond a position of its stream are in quarantine."""
    (count,) = tx.execute(
        "SELECT count(*) FROM quarantine WHERE peer = ? AND position > ?", (peer, after)
    ).fetchone()
    return int(count)


def quarantined_at(tx: Transaction, peer: str, position: int) -> Quarantined | None:
    """What is in quarantine at a position."""
    row = tx.execute(
        "SELECT position, doc_id, size_bytes, jws, errors, judged_at FROM quarantine "
        "WHERE peer = ? AND position = ?",
        (peer, position),
    ).fetchone()
    return None if row is None else _quarantined(row)


def _quarantined(row: Any) -> Quarantined:
    position, doc_id, size_bytes, jws, errors, judged_at = row
    kept = None if jws is None else bytes(jws)
    return Quarantined(position, doc_id, size_bytes, kept, json.loads(errors), judged_at)


def release(tx: Transaction, peer: str, doc_ids: Iterable[str]) -> None:
    """Documents were accepted; where the very same bytes are in quarantine, they are not any more."""
    tx.execute(
        f"DELETE FROM quarantine WHERE peer = ? AND doc_id IN {EACH} "
        "AND jws = (SELECT jws FROM documents d WHERE d.doc_id = quarantine.doc_id)",
        (peer, each(doc_ids)),
    )


def to_rejudged(tx: Transaction, peer: str, doc_id: str, index: int) -> None:
    """A document was accepted after its receipt; a later one will say so."""
    tx.execute(
        "INSERT OR IGNORE INTO rejudged (peer, doc_id, idx) VALUES (?, ?, ?)", (peer, doc_id, index)
    )


def rejudged(
    tx: Transaction, peer: str, manifest: str, witnessed: int, limit: int = 1000
) -> list[tuple[str, int]]:
    """Documents accepted after all that the peer may not know of yet: (doc id, index).

    One is named in every receipt until the peer, with another manifest, has witnessed the log that
    the first of those receipts showed: then it has held such a receipt.

    Args:
        tx: The transaction.
        peer: Whose documents.
        manifest: The manifest now answered.
        witnessed: The size of this log that it says the peer has witnessed.
        limit: At most so many.
    """
    tx.execute(
        "DELETE FROM rejudged WHERE peer = ? AND named_in <> ? AND named_size <= ?",
        (peer, manifest, witnessed),
    )
    rows = tx.execute(
        "SELECT doc_id, idx FROM rejudged WHERE peer = ? ORDER BY idx LIMIT ?", (peer, limit)
    )
    return [(row["doc_id"], row["idx"]) for row in rows]


def named(tx: Transaction, peer: str, manifest: str, size: int) -> None:
    """Note which receipt first named the peer's rejudged documents, and the log it showed."""
    tx.execute(
        "UPDATE rejudged SET named_in = ?, named_size = ? WHERE peer = ? AND named_in IS NULL",
        (manifest, size, peer),
    )
