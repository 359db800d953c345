"""Where is my certificate? What became of it and of each document about it, on the way and there."""

from typing import Any

from node.authority import OwnAuthority
from node.clock import iso
from node.errors import NotFoundError
from node.ledger import certificates, deliveries, entries, streams, timeline
from node.ledger.database import Transaction
from node.ledger.life import Event
from node.watch import figures
from node.watch.peers import attempt


def document(own: OwnAuthority, doc_id: str) -> dict[str, Any]:
    """A document's way to each of its addressees.

    Raises:
        NotFoundError: The log has none of this id.
    """

    def query(tx: Transaction) -> dict[str, Any]:
        entry = entries.by_doc_id(tx, doc_id)
        if entry is None:
            raise NotFoundError(f"no document {doc_id} here")
        claims = entries.claims(entry.jws) if entry.jws else {}
        return {
            "document": doc_id,
            "typ": entry.typ,
            "iss": entry.iss,
            "entry": entry.index,
            "recorded_at": iso(entry.recorded_at),
            "to": [_way(tx, peer, doc_id) for peer in claims.get("aud", []) if peer != own.name]
            if entry.iss == own.name
            else [],
        }

    return own.ledger.read(query)


def certificate(own: OwnAuthority, number: str) -> dict[str, Any]:
    """A certificate with its timeline: issued, queued, each attempt, receipt, what was answered.

    Raises:
        NotFoundError: There is none of this number or doc id.
    """

    def query(tx: Transaction) -> dict[str, Any]:
        held = certificates.found(tx, number)
        return {
            "number": held.number,
            "state": held.state,
            "side": held.side,
            "peer": held.peer,
            "doc_id": held.doc_id,
            "body": held.body,
            "figures": certificates.figures(tx, [held])[held.doc_id],
            "timeline": [told(event) for event in timeline.timeline(tx, held)],
        }

    return own.ledger.read(query)


def told(event: Event) -> dict[str, Any]:
    """An event as it is shown."""
    words = [event.body.get(name) for name in ("reason", "remarks", "place", "technical_number")]
    return {
        "at": iso(event.at),
        "what": event.what,
        "document": event.document,
        "state": event.state,
        "who": event.who,
        "detail": "; ".join(text for text in words if text),
        "values": {} if event.what in _FIRST else figures.brought(event.body),
    }


_FIRST = ("issued", "received")
"""The certificate itself: its values are shown above its story."""


def _way(tx: Transaction, peer: str, doc_id: str) -> dict[str, Any]:
    queued, outcome = deliveries.queued_at(tx, peer, doc_id), streams.outcome(tx, peer, doc_id)
    return {
        "peer": peer,
        "queued_at": iso(queued) if queued else None,
        "attempts": [attempt(one) for one in deliveries.about(tx, peer, doc_id)],
        "outcome": outcome,
    }
