"""Whether peers are in sync, per direction and never computed from one direction only."""

from typing import Any

from node.authority import OwnAuthority
from node.clock import iso
from node.config import CARRY, PeerSettings
from node.errors import LogBehindError
from node.ids import Authority
from node.ledger import peers, streams
from node.ledger.database import Transaction

SILENT_AFTER_S = 45 * 60
"""Three heartbeats missed in a row."""


def status(own: OwnAuthority) -> dict[str, Any]:
    """The state of every peer, worst first (architecture: JSON of ``status``).

    ``stopped`` says why this node may sign nothing, or is null.
    """
    rows = own.ledger.read(lambda tx: [_peer(tx, own, peer) for peer in own.config.peers])
    stopped = None
    try:
        own.ledger.read(own.checkpoints.guard)
    except LogBehindError as error:
        stopped = str(error)
    worst = {"incident": 0, "paused": 1, "silent": 2, "behind": 3, "in sync": 4}
    ordered = sorted(rows, key=lambda row: (worst[row["state"]], row["authority"]))
    return {"peers": ordered, "stopped": stopped}


def waiting(own: OwnAuthority, peer: Authority) -> int:
    """How many documents a peer has not acknowledged."""

    def query(tx: Transaction) -> int:
        state, last = peers.state(tx, peer), streams.sent_place(tx, peer)
        return (last.position if last else 0) - (state.acknowledged if state else 0)

    return own.ledger.read(query)


def _peer(tx: Transaction, own: OwnAuthority, settings: PeerSettings) -> dict[str, Any]:
    now_s = own.now_s()
    state = peers.state(tx, settings.authority)
    sent = streams.sent_place(tx, settings.authority)
    received = streams.received_place(tx, settings.authority)
    incidents = peers.incidents(tx, settings.authority)
    assert sent is not None
    assert received is not None
    acknowledged = state.acknowledged if state else 0
    known = max(state.known if state else 0, received.position)
    oldest = streams.oldest_waiting_s(tx, settings.authority, acknowledged)
    contacts = [at for at in (state.last_out, state.last_in) if at] if state else []
    out_lag, in_lag = sent.position - acknowledged, known - received.position
    row = {
        "authority": settings.authority,
        "state": "in sync",
        "mode": settings.mode,
        "out": {
            "position": sent.position,
            "acknowledged": acknowledged,
            "lag": out_lag,
            "oldest_s": 0 if oldest is None else max(0, now_s - oldest),
        },
        "in": {"known": known, "have": received.position, "lag": in_lag},
        "last_contact": iso(max(contacts)) if contacts else None,
        "last_error": state.last_error if state else None,
        "next_try": iso(state.next_try) if state and state.next_try > now_s else None,
        "quarantine": len(streams.quarantined(tx, settings.authority)),
        "paused": {"at": iso(state.paused_at), "because": state.paused_because}
        if state and state.paused_at is not None
        else None,
        "incidents": [{"code": i.code, "at": iso(i.at), "detail": i.detail} for i in incidents],
    }
    if settings.authority in own.book.stopped:
        row["last_error"] = own.book.stopped[settings.authority]
    if incidents or settings.authority in own.book.stopped:
        row["state"] = "incident"
    elif row["paused"]:
        row["state"] = "paused"
    elif settings.mode != CARRY and (not contacts or now_s - max(contacts) > SILENT_AFTER_S):
        row["state"] = "silent"
    elif out_lag or in_lag or row["last_error"]:
        row["state"] = "behind"
    return row
