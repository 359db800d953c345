"""What is to be delivered, and what became of each attempt: receipts, and failures in words."""

from dataclasses import dataclass

from node.ledger import peers, streams, transport, witness
from node.ledger.database import Transaction

KEPT = 1000
"""Of each peer; older ones say nothing that the receipts do not."""


@dataclass(frozen=True, slots=True)
class Due:
    """How it stands with the delivery to a peer.

    Attributes:
        failures: In a row.
        next_try: Not before this second.
        work: Whether there is anything to say or ask, beside a heartbeat.
        paused: Whether an operator has paused it.
        log: Which of the peer's logs was seen last.
    """

    failures: int = 0
    next_try: int = 0
    work: bool = True
    paused: bool = False
    log: int = 1


def due(tx: Transaction, peer: str) -> Due:
    """How it stands with one peer."""
    state, last = peers.state(tx, peer), streams.sent_place(tx, peer)
    if state is None or last is None:
        return Due()
    work = (
        last.position > state.acknowledged
        or state.in_flight is not None
        or state.attempts > 0
        or transport.wanted_spot_check(tx, peer) is not None
    )
    held = witness.held(tx, peer)
    log = 1 if held is None else held.log
    return Due(state.attempts, state.next_try, work, state.paused_at is not None, log)


def with_work(tx: Transaction) -> set[str]:
    """The peers that `due` says there is work for: the same in one question for all."""
    last = "SELECT position FROM {} WHERE peer = p.authority ORDER BY position DESC LIMIT 1"
    rows = tx.execute(
        "SELECT p.authority FROM peers p WHERE p.in_flight IS NOT NULL OR p.attempts > 0 "
        f"OR p.acknowledged < ({last.format('stream_out')}) "
        f"OR p.acknowledged < ({last.format('places_taken')}) "
        "OR EXISTS (SELECT 1 FROM spot_checks c WHERE c.peer = p.authority)"
    )
    return {row["authority"] for row in rows}


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delivery, or failures in a row that were alike.

    Attributes:
        at, until: When it was tried first and last, seconds.
        tries: How often.
        first, last: Positions of the stream it was about; none waited where `last` is smaller.
        step: Where it ended: ``delivered``, or what failed.
        error: In words, or None.
        took_s: From question to receipt, or None.
    """

    peer: str
    at: int
    until: int
    tries: int
    first: int
    last: int
    step: str
    error: str | None
    took_s: float | None


DELIVERED = "delivered"
_COLUMNS = "peer, at, until, tries, first, last, step, error, took_s"


def note(tx: Transaction, made: Delivery) -> None:
    """Write an attempt down; a failure like the one before it is counted with it."""
    before = tx.execute(
        "SELECT id, step, error, first FROM deliveries WHERE peer = ? ORDER BY id DESC LIMIT 1",
        (made.peer,),
    ).fetchone()
    alike = (made.step, made.error, made.first)
    if before is not None and made.step != DELIVERED and tuple(before)[1:] == alike:
        tx.execute(
            "UPDATE deliveries SET until = ?, last = ?, tries = tries + 1 WHERE id = ?",
            (made.until, made.last, before["id"]),
        )
        return
    tx.execute(
        f"INSERT INTO deliveries ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (made.peer, made.at, made.until, made.tries, made.first, made.last, made.step, made.error,
         made.took_s),
    )  # fmt: skip
    tx.execute(
        "DELETE FROM deliveries WHERE peer = ? AND id <= (SELECT id FROM deliveries "
        "WHERE peer = ? ORDER BY id DESC LIMIT 1 OFFSET ?)",
        (made.peer, made.peer, KEPT),
    )


def newest(tx: Transaction, peer: str, limit: int) -> list[Delivery]:
    """The last attempts with a peer, newest first."""
    rows = tx.execute(
        f"SELECT {_COLUMNS} FROM deliveries WHERE peer = ? ORDER BY id DESC LIMIT ?", (peer, limit)
    )
    return [Delivery(*row) for row in rows]


def about(tx: Transaction, peer: str, doc_id: str) -> list[Delivery]:
    """The attempts that concerned a document in the stream to a peer, oldest first."""
    rows = tx.execute(
        f"SELECT {_COLUMNS} FROM deliveries d WHERE d.peer = ? AND EXISTS ("
        "SELECT 1 FROM stream_out s WHERE s.doc_id = ? AND s.peer = d.peer "
        "AND s.position BETWEEN d.first AND d.last AND d.until >= s.queued_at) ORDER BY id",
        (peer, doc_id),
    )
    return [Delivery(*row) for row in rows]


def queued_at(tx: Transaction, peer: str, doc_id: str) -> int | None:
    """When a document was put into the stream to a peer."""
    row = tx.execute(
        "SELECT queued_at FROM stream_out WHERE doc_id = ? AND peer = ?", (doc_id, peer)
    ).fetchone()
    return None if row is None else int(row["queued_at"])
