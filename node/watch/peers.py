"""Whether peers are in sync, per direction and never computed from one direction only."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from node.authority import OwnAuthority
from node.clock import iso
from node.config import CARRY, PUSH, PeerSettings
from node.errors import LogBehindError
from node.ids import Authority
from node.incidents import INCIDENTS
from node.jose.keys import ROLES, KeySet, PublicKey
from node.ledger import alerts, deliveries, entries, peers, streams, witness
from node.ledger.database import Transaction
from node.ledger.peers import PeerState

DAY_S = 24 * 3600
ATTEMPTS_SHOWN = 50


@dataclass(frozen=True, slots=True)
class State:
    """A word for how the exchange with a peer stands: what it means, and what to do."""

    means: str
    do: str


STATES: dict[str, State] = {
    "incident": State(
        "something an operator must look at has happened", "see its incidents and what ends them"
    ),
    "refused": State(
        "the peer answers, but takes nothing from this node",
        "read the error; kpnode peer probe PEER says at which step, and call its operator",
    ),
    "silent": State(
        "nothing has come through in one direction for longer than three heartbeats",
        "kpnode peer probe PEER; if only the peer's calls are missing, ask its operator to probe",
    ),
    "paused": State(
        "an operator has paused the exchange, or too many documents were refused",
        "kpnode peer resume PEER --because TEXT when the reason is gone",
    ),
    "carry due": State(
        "documents wait for a file to be carried to the peer",
        "kpnode bundle export --peer PEER FILE, and import what comes back",
    ),
    "behind": State(
        "documents wait on one side or the other, or the last round failed",
        "nothing for a while; if it lasts, kpnode peer probe PEER",
    ),
    "in sync": State(
        "the peer has acknowledged all that was sent, and all it told of is here", "nothing"
    ),
}
"""Worst first. `docs/operations.md` tells the same and a test compares them."""


def status(own: OwnAuthority) -> dict[str, Any]:
    """The state of every peer, worst first (architecture: JSON of ``status``).

    ``stopped`` says why this node may sign nothing, or is null; ``alerts`` are those that are open.
    """
    rows, opened = own.ledger.read(
        lambda tx: ([_peer(tx, own, one) for one in own.config.peers], alerts.opened(tx))
    )
    worst = list(STATES)
    ordered = sorted(rows, key=lambda row: (worst.index(row["state"]), row["authority"]))
    return {"peers": ordered, "stopped": stopped(own), "alerts": [_alert(one) for one in opened]}


def peer(own: OwnAuthority, authority: str) -> dict[str, Any]:
    """One peer's state, with its incidents, its last attempts and what of it was refused here.

    Raises:
        NotFoundError: No such peer.
    """
    settings = own.config.known_peer(authority)

    keys = own.book.ring.get(settings.authority)

    def query(tx: Transaction) -> dict[str, Any]:
        row, state, held = (
            _peer(tx, own, settings), peers.state(tx, authority), witness.held(tx, authority)
        )  # fmt: skip
        return {
            **row,
            "url": settings.url or None,
            "fingerprint": state.fingerprint if state else None,
            "keys": [dict(key.jwk) for key in keys.keys.values()] if keys else [],
            "witnessed": {"size": held.size, "note": held.note} if held else None,
            "incidents": [
                {**_incident(one), "means": INCIDENTS[one.code].means,
                 "mend": INCIDENTS[one.code].mend.replace("PEER", authority),
                 "direction": one.direction, "evidence": one.evidence}
                for one in peers.incidents(tx, authority)
            ],
            "attempts": [attempt(one) for one in deliveries.newest(tx, authority, ATTEMPTS_SHOWN)],
            "refused": [
                {"position": kept.position, "document": kept.doc_id, "at": iso(kept.judged_at),
                 "errors": kept.errors}
                for kept in streams.quarantined(tx, authority)[:ATTEMPTS_SHOWN]
            ],
            "alerts": [_alert(one) for one in alerts.opened(tx) if one.subject == authority],
        }  # fmt: skip

    return own.ledger.read(query)


def listed(own: OwnAuthority) -> dict[str, Any]:
    """The peers as `peers.toml` names them, each with the fingerprint that is pinned."""
    states = own.ledger.read(
        lambda tx: {p.authority: peers.state(tx, p.authority) for p in own.config.peers}
    )
    items = [
        {
            "authority": settings.authority,
            "name": settings.name,
            "url": settings.url or None,
            "mode": settings.mode,
            "fingerprint": state.fingerprint if state else None,
        }
        for settings in own.config.peers
        for state in [states[settings.authority]]
    ]
    return {"items": items, "next": None}


def stopped(own: OwnAuthority) -> str | None:
    """Why this node may sign nothing, or None."""
    try:
        own.ledger.read(own.checkpoints.guard)
    except LogBehindError as error:
        return str(error)
    return None


def waiting(own: OwnAuthority, authority: Authority) -> int:
    """How many documents a peer has not acknowledged."""

    def query(tx: Transaction) -> int:
        state, last = peers.state(tx, authority), streams.sent_place(tx, authority)
        return (last.position if last else 0) - (state.acknowledged if state else 0)

    return own.ledger.read(query)


def attempt(one: deliveries.Delivery) -> dict[str, Any]:
    """An attempt to deliver, as it is shown."""
    return {
        "at": iso(one.at), "until": iso(one.until), "tries": one.tries, "step": one.step,
        "documents": max(0, one.last - one.first + 1), "error": one.error,
        "took_s": None if one.took_s is None else round(one.took_s, 3),
    }  # fmt: skip


def days_left(keys: KeySet, now_s: int) -> int | None:
    """Days until the first role of a key set has no key in use any more; None if that never comes."""
    ends = [_end(keys.with_role(role), now_s) for role in ROLES]
    left = [end for end in ends if end is not None]
    return (min(left) - now_s) // DAY_S if left else None


def _end(keys: Sequence[PublicKey], now_s: int) -> int | None:
    """The second from which on none of some keys is in use, or None if that never comes."""
    end = now_s
    for key in keys:  # oldest first
        if (key.not_before or 0) <= end and (key.retire_after is None or key.retire_after > end):
            if key.retire_after is None:
                return None
            end = key.retire_after
    return end


def _peer(tx: Transaction, own: OwnAuthority, settings: PeerSettings) -> dict[str, Any]:
    authority, now_s = settings.authority, own.now_s()
    state = peers.state(tx, authority)
    sent, received = streams.sent_place(tx, authority), streams.received_place(tx, authority)
    assert sent is not None
    assert received is not None
    acknowledged = state.acknowledged if state else 0
    known = max(state.known if state else 0, received.position)
    oldest = streams.oldest_waiting_s(tx, authority, acknowledged)
    incidents = peers.incidents(tx, authority)
    held = witness.held(tx, authority)
    because = own.book.stopped.get(authority)
    contacts = [at for at in (state.last_out, state.last_in) if at] if state else []
    keys = own.book.ring.get(authority)
    row: dict[str, Any] = {
        "authority": authority,
        "name": settings.name,
        "state": "in sync",
        "mode": settings.mode,
        "out": {
            "position": sent.position,
            "acknowledged": acknowledged,
            "lag": sent.position - acknowledged,
            "oldest_s": 0 if oldest is None else max(0, now_s - oldest),
        },
        "in": {
            "known": known,
            "have": received.position,
            "lag": known - received.position,
        },
        "contact": {
            "out": _moment(state.last_out if state else None),
            "in": _moment(state.last_in if state else None),
        },
        "last_contact": iso(max(contacts)) if contacts else None,
        "pinned_at": _moment(state.pinned_at if state else None),
        "failures": state.attempts if state else 0,
        "step": state.last_step if state else None,
        "last_error": because or (state.last_error if state else None),
        "next_try": iso(state.next_try) if state and state.next_try > now_s else None,
        "clock_s": state.clock_s if state else None,
        "key_set": {
            "fingerprint": keys.fingerprint if keys else None,
            "changed": because is not None or any(i.code == "keys-changed" for i in incidents),
            "days_left": days_left(keys, now_s) if keys else None,
        },
        "log": {
            "witnessed": held.size if held else 0,
            "shown": state.proven_size if state else 0,
            "own": entries.size(tx),
        },
        "quarantine": streams.quarantine_count(tx, authority, 0),
        "unresolved": streams.quarantine_count(tx, authority, state.looked_through if state else 0),
        "paused": {"at": iso(state.paused_at), "because": state.paused_because}
        if state and state.paused_at is not None
        else None,
        "incidents": [_incident(one) for one in incidents],
    }
    silent = _silent(own, settings, state, now_s)
    row["silent"] = silent
    if incidents or because:
        row["state"] = "incident"
    elif row["paused"]:
        row["state"] = "paused"
    elif state and state.last_step == "refused":
        row["state"] = "refused"
    elif silent:
        row["state"] = "silent"
    elif settings.mode == CARRY and row["out"]["lag"]:
        row["state"] = "carry due"
    elif row["out"]["lag"] or row["in"]["lag"] or row["last_error"]:
        row["state"] = "behind"
    return row


def _silent(
    own: OwnAuthority, settings: PeerSettings, state: PeerState | None, now_s: int
) -> list[str]:
    """The directions in which nothing has come through for too long."""
    limit_s = own.config.thresholds(settings.authority).silent_minutes * 60
    expected = {"out": settings.called, "in": settings.mode == PUSH or not settings.called}
    last: dict[str, int | None] = {"out": None, "in": None}
    if state:
        last = {"out": state.last_out, "in": state.last_in}
    if settings.mode == CARRY:
        return []
    if settings.mode != PUSH and not settings.called:  # its calls serve both directions
        last["in"] = max((at for at in last.values() if at), default=None)
    return [
        way for way, wanted in expected.items() if wanted and now_s - (last[way] or 0) > limit_s
    ]


def _incident(one: peers.Incident) -> dict[str, Any]:
    return {"code": one.code, "at": iso(one.at), "detail": one.detail}


def _alert(one: alerts.Alert) -> dict[str, Any]:
    assert one.opened_at is not None
    return {
        "code": one.code, "subject": one.subject, "detail": one.detail, "since": iso(one.since),
    }  # fmt: skip


def _moment(at_s: int | None) -> str | None:
    return iso(at_s) if at_s else None
