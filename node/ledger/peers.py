"""What the node knows of each peer: pinned fingerprint, delivery state, lease, incidents."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from node.clock import CLOCK_GRACE_S
from node.incidents import INCIDENTS
from node.ledger.database import Transaction


@dataclass(frozen=True, slots=True)
class PeerState:
    """Delivery to one peer, as it survives restarts.

    Attributes:
        fingerprint: Of the pinned key set.
        in_flight: The manifest whose receipt is awaited, or None.
        acknowledged: Last position of the stream to the peer under a valid receipt.
        proven_size: The size of this log that the peer last said it holds.
        known: The last position of the peer's stream that it has told of.
        attempts: Failures in a row.
        next_try: Not before this second.
        batch: Documents a bundle; halved after a time-out.
        last_error: In words, or None.
        last_out, last_in: Last contact in each direction, seconds or None.
        bad_proofs: Proofs in a row that did not verify.
        proven_at: `iat` of the document that said so; 0 while it has said nothing of this log.
        shown_size: The size of this log that was last shown to the peer, which may not have got it.
        paused_at, paused_because: When and why the exchange was paused, or None.
        looked_through: The last position of its stream whose quarantine an operator has seen.
        last_step: Where the last failure was, e.g. ``connect``, or None.
        clock_s: By how many seconds its clock was ahead when it last answered, or None.
        pinned_at: Since when its present keys are pinned.
    """

    authority: str
    fingerprint: str
    in_flight: str | None
    acknowledged: int
    proven_size: int
    known: int
    attempts: int
    next_try: int
    batch: int
    last_error: str | None
    last_out: int | None
    last_in: int | None
    bad_proofs: int
    shown_size: int
    proven_at: int
    paused_at: int | None
    paused_because: str | None
    looked_through: int
    last_step: str | None
    clock_s: int | None
    pinned_at: int

    @property
    def met_log(self) -> bool:
        """Whether the peer has named a size of the present log."""
        return self.proven_at > 0


@dataclass(frozen=True, slots=True)
class Incident:
    """Something an operator must look at, with the evidence."""

    id: int
    peer: str
    code: str
    direction: str
    detail: str
    evidence: Mapping[str, Any]
    at: int


_COLUMNS = (
    "authority, fingerprint, in_flight, acknowledged, proven_size, known, attempts, "
    "next_try, batch, last_error, last_out, last_in, bad_proofs, shown_size, proven_at, paused_at, "
    "paused_because, looked_through, last_step, clock_s, pinned_at"
)
_UPDATABLE = frozenset(PeerState.__dataclass_fields__) - {
    "authority",
    "fingerprint",
    "pinned_at",
}


MAX_OPEN_INCIDENTS = 20
"""Of one code with one peer; a hostile one could otherwise fill the disk with evidence."""


def pin(tx: Transaction, authority: str, fingerprint: str, key_set: bytes, at_s: int) -> None:
    """Pin a peer's key set, or by an operator's act another one; former ones stay on record.

    Args:
        tx: The transaction.
        authority: The peer.
        fingerprint: Of the set.
        key_set: The set, as JSON.
        at_s: Now.
    """
    tx.execute(
        "INSERT INTO peers (authority, fingerprint, pinned_at) VALUES (?, ?, ?) "
        "ON CONFLICT (authority) DO UPDATE SET fingerprint = excluded.fingerprint, "
        "pinned_at = excluded.pinned_at",
        (authority, fingerprint, at_s),
    )
    keep_key_set(tx, authority, fingerprint, key_set, at_s)


def keep_key_set(
    tx: Transaction, authority: str, fingerprint: str, key_set: bytes, at_s: int
) -> None:
    """Keep a pinned set, so that what it has signed can be verified for ever."""
    tx.execute(
        "INSERT OR IGNORE INTO key_sets (authority, fingerprint, jwks, pinned_at) "
        "VALUES (?, ?, ?, ?)",
        (authority, fingerprint, key_set, at_s),
    )


def key_sets(tx: Transaction, authority: str) -> list[bytes]:
    """All sets that were ever pinned for a peer, as JSON, oldest first."""
    rows = tx.execute(
        "SELECT jwks FROM key_sets WHERE authority = ? ORDER BY pinned_at, fingerprint",
        (authority,),
    )
    return [bytes(row["jwks"]) for row in rows]


def state(tx: Transaction, authority: str) -> PeerState | None:
    """One peer's state, or None if nothing is pinned for it."""
    row = tx.execute(f"SELECT {_COLUMNS} FROM peers WHERE authority = ?", (authority,)).fetchone()
    return None if row is None else PeerState(*row)


def update(tx: Transaction, authority: str, **values: int | str | None) -> None:
    """Set members of a peer's state."""
    assert values.keys() <= _UPDATABLE, values.keys()
    columns = ", ".join(f"{name} = ?" for name in values)
    tx.execute(f"UPDATE peers SET {columns} WHERE authority = ?", (*values.values(), authority))


def proven(tx: Transaction, authority: str, size: int, said_at: int) -> None:
    """Note what a peer has signed that it holds of this log; older words than the last are void.

    Args:
        tx: The transaction.
        authority: The peer.
        size: The size it names. It may shrink: a peer may have been restored.
        said_at: `iat` of the document that says so.
    """
    tx.execute(
        "UPDATE peers SET proven_size = ?, proven_at = ? WHERE authority = ? AND proven_at <= ?",
        (size, said_at, authority, said_at),
    )


def take_lease(tx: Transaction, authority: str, holder: str, now_s: int, until_s: int) -> bool:
    """Take the one delivery to a peer; False while another process has it.

    A lease that would last longer than one taken now comes from a clock that was wrong.
    """
    done = tx.execute(
        "UPDATE peers SET lease = ?, lease_until = ? WHERE authority = ? AND "
        "(lease IS NULL OR lease = ? OR lease_until < ? OR lease_until > ?)",
        (holder, until_s, authority, holder, now_s, until_s + CLOCK_GRACE_S),
    )
    return done.rowcount == 1


def drop_lease(tx: Transaction, authority: str, holder: str) -> None:
    """Give the delivery back."""
    tx.execute(
        "UPDATE peers SET lease = NULL WHERE authority = ? AND lease = ?", (authority, holder)
    )


def drop_leases(tx: Transaction, kind: str) -> None:
    """Give back what processes of a kind hold that are known to have ended."""
    tx.execute("UPDATE peers SET lease = NULL WHERE lease GLOB ?", (f"{kind}-*",))


def report(
    tx: Transaction, peer: str, code: str, direction: str, detail: str,
    evidence: Mapping[str, Any], at_s: int,
) -> None:  # fmt: skip
    """Open an incident; one that is open already with this code and detail stays the one.

    There are at most `MAX_OPEN_INCIDENTS` of a code; more say nothing new.

    Args:
        tx: The transaction.
        peer: Whom it concerns.
        code: One of `node.incidents`.
        direction: ``in``, ``out`` or ``both``: which streams it concerns. Only forks stop them.
        detail: In words.
        evidence: What proves it, kept as it is.
        at_s: When.
    """
    assert code in INCIDENTS, code
    open_already = tx.execute(
        "SELECT detail FROM incidents "
        "WHERE peer = ? AND code = ? AND direction IN (?, 'both') AND resolved_at IS NULL",
        (peer, code, direction),
    ).fetchall()
    if len(open_already) < MAX_OPEN_INCIDENTS and detail not in [d["detail"] for d in open_already]:
        tx.execute(
            "INSERT INTO incidents (peer, code, direction, detail, evidence, at) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (peer, code, direction, detail, json.dumps(evidence, ensure_ascii=False), at_s),
        )


def resolve(
    tx: Transaction, peer: str, because: str, at_s: int, *, code: str = "%", direction: str = "%"
) -> int:
    """Close the open incidents of a peer, or those of a code and direction; they stay on record.

    Returns:
        How many were closed.
    """
    done = tx.execute(
        "UPDATE incidents SET resolved_at = ?, because = ? "
        "WHERE peer = ? AND code LIKE ? AND direction LIKE ? AND resolved_at IS NULL",
        (at_s, because, peer, code, direction),
    )
    return int(done.rowcount)


def incidents(
    tx: Transaction, peer: str, *codes: str, direction: str | None = None
) -> list[Incident]:
    """Open incidents of a peer, oldest first; of these codes and this direction where given."""
    rows = tx.execute(
        "SELECT id, peer, code, direction, detail, evidence, at FROM incidents "
        "WHERE peer = ? AND resolved_at IS NULL ORDER BY id",
        (peer,),
    )
    found = [Incident(i, p, c, d, text, json.loads(e), at) for i, p, c, d, text, e, at in rows]
    return [
        incident
        for incident in found
        if (not codes or incident.code in codes)
        and (direction is None or incident.direction in (direction, "both"))
    ]
