"""Certificates as they are listed and shown: the same for the command line and the API."""

from collections.abc import Mapping
from typing import Any

from node.authority import OwnAuthority
from node.domain.kinds import CERTIFICATE
from node.domain.states import IMPORTER, MEANINGS, allowed
from node.ledger import certificates, inquiries, register, timeline
from node.ledger.certificates import Certificate
from node.ledger.database import Transaction
from node.office.officer import day_of
from node.watch.correspondence import alert_as_json, inquiry_as_json
from node.watch.journey import told
from node.watch.worklists import attention


def listed(
    own: OwnAuthority,
    *,
    side: str | None = None,
    peer: str | None = None,
    state: str | None = None,
    party: str | None = None,
    seal: str | None = None,
    after: str = "",
    limit: int = 1000,
) -> dict[str, Any]:
    """Certificates by number, after a number: items, and the number to go on after.

    Args:
        own: Whose.
        side: Only of this side.
        peer: Only with this authority.
        state: Only in this family of states.
        party: Only those whose exporter's or importer's name has this in it, in any case.
        seal: Only those that this seal is named on, or on a document about them.
        after: Only beyond this number.
        limit: At most so many.
    """

    def query(tx: Transaction) -> dict[str, Any]:
        found = certificates.listed(tx, side, peer, after, limit, state, party, seal)
        differing = timeline.with_open_items(tx)
        flagged = register.flagged(tx, [one.number for one in found])
        now = certificates.figures(tx, found)
        items = [
            _summary(
                one, now[one.doc_id], day,
                differs=one.doc_id in differing, flagged=one.number in flagged,
            )
            for one in found
        ]  # fmt: skip
        return {"items": items, "next": found[-1].number if len(found) == limit else None}

    day = day_of(own, own.clock.now()).isoformat()
    return own.ledger.read(query)


def shown(own: OwnAuthority, name: str) -> dict[str, Any]:
    """A certificate by number or doc id: state, timeline, who holds what, what may come next.

    Raises:
        NotFoundError: There is none.
    """

    def query(tx: Transaction) -> dict[str, Any]:
        held = certificates.found(tx, name)
        open_items, alerts = timeline.open_items(tx, held), register.on(tx, held.number)
        at_peer = held.side == IMPORTER or held.outcome in ("accepted", "duplicate")
        now = certificates.figures(tx, [held])[held.doc_id]
        return {
            **_summary(held, now, day, differs=bool(open_items), flagged=bool(alerts)),
            "meaning": MEANINGS[held.state],
            "refused_with": held.errors,
            "held_by": sorted({own.name, held.peer} if at_peer else {own.name}),
            "timeline": [told(event) for event in timeline.timeline(tx, held)],
            "open": [
                {"sent": i.sent, "document": i.document, "code": i.code, "detail": i.detail}
                for i in open_items
            ],
            "alerts": [alert_as_json(one) for one in alerts],
            "inquiries": [inquiry_as_json(one) for one in inquiries.about(tx, held.number)],
            "next": [
                {"event": step.event, "who": step.who}
                for step in allowed(held.side, held.state)
                if step.event != CERTIFICATE.name  # it is here
            ],
            "version": certificates.version(tx, held),
            "body": held.body,
            "figures": now,
        }

    day = day_of(own, own.clock.now()).isoformat()
    return own.ledger.read(query)


def _summary(
    one: Certificate, now: Mapping[str, Any], day: str, *, differs: bool, flagged: bool
) -> dict[str, Any]:
    """A certificate in a list, with the amounts that were agreed where some were."""
    return {
        "number": one.number,
        "state": one.state,
        "side": one.side,
        "peer": one.peer,
        "doc_id": one.doc_id,
        "issued_on": one.body["issued_on"],
        "expires_on": one.body["expires_on"],
        "attention": attention(one, day, differs=differs, flagged=flagged),
        "carats": now["totals"]["carats"],
        "value_usd": now["totals"]["value_usd"],
    }
