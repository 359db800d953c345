"""The announcement of a successor log: whoever is shown its checkpoints has been told of it before."""

from collections.abc import Iterable, Mapping
from typing import Any

from node.authority import OwnAuthority
from node.domain.kinds import SUCCESSION
from node.errors import RefusedError
from node.ids import Authority
from node.ledger import succession
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
        own.publish(tx, [own.seal(SUCCESSION, claims)], now_s)


def tell_newcomer(tx: Transaction, own: OwnAuthority, peer: Authority) -> None:
    """Queue the announcement for a peer that came after the log had begun, unless that was done."""
    origin = own.checkpoints.origin
    if succession.number(tx) == 1 or peer in succession.told(tx, own.name, origin):
        return
    today = own.clock.now().astimezone(own.config.node.timezone).date()
    announce(tx, own, [peer], {"authority": own.name, "on": today.isoformat()})
