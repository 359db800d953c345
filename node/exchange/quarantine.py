"""Judging again what was refused, when keys, reference data, clock or software have changed."""

from node.authority import OwnAuthority
from node.clock import seconds
from node.domain.context import Context
from node.errors import LogBehindError
from node.exchange.judge import judge
from node.ids import Authority
from node.ledger import streams
from node.ledger.database import Transaction
from node.ledger.streams import Quarantined


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
    context = Context(own.clock.now())
    verdict = judge(own, peer, item.jws, context)
    if verdict.document is None:
        return False
    document, now_s = verdict.document, seconds(context.now)

    def act(tx: Transaction) -> bool:
        own.checkpoints.guard(tx)
        index = streams.received_index(tx, peer, item.doc_id)
        accepted = index is None
        if index is None:
            if verdict.findings(tx, context):
                return False
            index = own.log(tx, document.signed, document.kind, now_s)
            streams.to_rejudged(tx, peer, item.doc_id, index)
        streams.release(tx, peer, document.signed.raw)
        return accepted

    return own.ledger.write(act)
