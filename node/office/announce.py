"""Tell peers that a successor log has begun: those of the day at once, others when they come."""

from collections.abc import Iterable

from node.authority import OwnAuthority
from node.clock import seconds
from node.domain.kinds import SUCCESSION
from node.errors import RefusedError
from node.ids import Authority
from node.ledger import succession
from node.ledger.database import Transaction
from node.office.officer import Officer, day_of
from node.schema.validation import check_payload


def announce(tx: Transaction, own: OwnAuthority, to: Iterable[Authority], officer: Officer) -> None:
    """Sign and queue the announcement of the present log, one to each peer.

    Raises:
        RefusedError: ``schema-invalid``.
    """
    now, log = own.clock.now(), succession.listed(tx)[-1]
    for peer in to:
        body = {
            "origin": own.checkpoints.origin,
            "predecessor": log.predecessor,
            "because": log.because,
            "announced_by": officer.signs(own, day_of(own, now)),
        }
        claims = own.claims([peer], body, iat=seconds(now))
        if findings := check_payload(f"{SUCCESSION.name}.v1", claims):
            raise RefusedError(findings)
        own.publish(tx, [own.seal(SUCCESSION, claims)], seconds(now))


def untold(tx: Transaction, own: OwnAuthority) -> list[Authority]:
    """The peers that have not been told of the present log; none where it is the first."""
    if own.checkpoints.number == 1:
        return []
    told = succession.told(tx, own.name, own.checkpoints.origin)
    return [peer for peer in own.book.ring if peer not in told]
