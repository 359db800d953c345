"""The announcement of a successor log: it stands in the first bundle that shows a checkpoint of it.

Whoever has not been told takes none.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from node.authority import OwnAuthority
from node.domain.kinds import SUCCESSION
from node.errors import RefusedError
from node.ids import Authority
from node.ledger import peers, streams, succession, transport
from node.ledger.database import Transaction
from node.schema.validation import check_payload


def announce(
    tx: Transaction, own: OwnAuthority, to: Iterable[Authority], by: Mapping[str, Any]
) -> None:
    """Sign and queue the announcement of the present log, one to each peer.

    Args:
        tx: The transaction.
        own: Whose log.
        to: The peers.
        by: Who says so, as in the member ``announced_by``.

    Raises:
        RefusedError: ``schema-invalid``.
    """
    log, now_s = succession.listed(tx)[-1], own.now_s()
    for peer in to:
        body = {
            "origin": own.checkpoints.origin,
            "predecessor": log.predecessor,
            "because": log.because,
            "announced_by": by,
        }
        claims = own.claims([peer], body, iat=now_s)
        if findings := check_payload(f"{SUCCESSION.name}.v1", claims):
            raise RefusedError(findings)
        signed = own.seal(SUCCESSION, claims)
        own.log(tx, [signed], now_s)
        state = peers.state(tx, peer)
        offered = max(state.acknowledged if state else 0, transport.last_offered(tx, peer))
        streams.put_first(tx, peer, offered, signed.doc_id, now_s)


def announced_at(tx: Transaction, own: OwnAuthority, peer: Authority) -> int:
    """Where in the stream to a peer the present log is announced; 0 where it is the first.

    A peer that came after the log had begun is told now.
    """
    if succession.number(tx) == 1:
        return 0
    told = succession.told(tx, own.name, own.checkpoints.origin)
    if peer not in told:
        today = own.clock.now().astimezone(own.config.node.timezone).date()
        announce(tx, own, [peer], {"authority": own.name, "on": today.isoformat()})
        told = succession.told(tx, own.name, own.checkpoints.origin)
    return streams.sent_position(tx, peer, told[peer]) or 0
