"""Refused documents: kept within bounds, and judged again when something has changed."""

from collections.abc import Sequence
from dataclasses import replace

from node.authority import OwnAuthority
from node.clock import seconds
from node.errors import Finding, LogBehindError
from node.exchange.admission import judge_of
from node.exchange.judge import Line
from node.ids import Authority
from node.ledger import peers, streams
from node.ledger.database import Transaction
from node.ledger.streams import Quarantined

MAX_BYTES = 64 * 1024 * 1024
"""Of one peer's refused documents; of what comes beyond, digest and code are kept."""

MAX_UNRESOLVED = 1000
"""So many refused documents that nobody has looked at pause the peer."""


def put(
    tx: Transaction, peer: Authority, position: int, doc_id: str, raw: bytes,
    findings: Sequence[Finding], now_s: int,
) -> None:  # fmt: skip
    """Keep a refused document with its codes, as far as there is room."""
    keep = findings[0].code != "too-large"
    if keep and streams.quarantine_bytes(tx, peer) + len(raw) > MAX_BYTES:
        keep, findings = False, findings[:1]
    streams.quarantine(tx, peer, position, doc_id, raw, findings, now_s, keep=keep)


def pause_if_full(tx: Transaction, peer: Authority, now_s: int) -> None:
    """Pause a peer, with an incident, once too much of it is refused and not looked at."""
    state = peers.state(tx, peer)
    assert state is not None
    if state.paused_at is not None:
        return
    count = streams.quarantine_count(tx, peer, state.looked_through)
    if count >= MAX_UNRESOLVED:
        reason = f"{count} refused documents wait unresolved"
        peers.update(tx, peer, paused_at=now_s, paused_because=reason)
        evidence = {"first": state.looked_through + 1}
        peers.report(tx, peer, "quarantine-full", "in", f"{peer}: {reason}", evidence, now_s)


def judge_again(own: OwnAuthority, peer: Authority) -> int:
    """Judge the quarantine of a peer again; returns how many documents were accepted.

    An accepted one enters the log now; the next receipts to the peer name it in ``rejudged``.
    """
    kept = own.ledger.read(lambda tx: streams.quarantined(tx, peer))
    try:
        own.ledger.read(own.checkpoints.guard)
    except LogBehindError:
        return 0  # nothing may be recorded; the operator is told elsewhere
    return sum(_again(own, peer, item) for item in kept if item.jws is not None)


def _again(own: OwnAuthority, peer: Authority, item: Quarantined) -> bool:
    assert item.jws is not None
    context = own.context()
    (verdict,) = judge_of(own, peer, context).judge([Line(item.jws)])
    if verdict.document is None:
        return False
    document, now_s = verdict.document, seconds(context.now)

    def act(tx: Transaction) -> bool:
        own.checkpoints.guard(tx)
        index = streams.received_indexes(tx, peer, [item.doc_id]).get(item.doc_id)
        accepted = index is None
        if index is None:
            if verdict.findings(replace(context, facts=own.facts(tx))):
                return False
            index = own.log(tx, [document.signed], now_s)
            streams.to_rejudged(tx, peer, item.doc_id, index)
        streams.release(tx, peer, [item.doc_id])
        return accepted

    return own.ledger.write(act)
