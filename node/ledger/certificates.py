"""The certificates as read models, and the facts that rules ask for."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from typing import Any

from node.domain.facts import HeldCertificate
from node.domain.states import State, state
from node.ids import Authority, DocId, participant_of
from node.ledger import entries
from node.ledger.database import Transaction


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate on this authority's side of a pair.

    Attributes:
        peer: The authority at the other side.
        outcome: What the peer's last receipt says of it (exporter's side), or ``""``.
        errors: The peer's findings where it refused.
        confirmation: Doc id of the import confirmation, or None.
    """

    participant: str
    number: str
    doc_id: str
    side: str
    peer: str
    outcome: str
    errors: list[dict[str, Any]]
    confirmation: str | None
    body: Mapping[str, Any]
    recorded_at: int

    @property
    def state(self) -> State:
        """Its state on this side."""
        return state(self.side, self.outcome, self.confirmation is not None)


_SELECT = (
    "SELECT c.participant, c.number, c.doc_id, c.side, c.peer, coalesce(o.outcome, '') AS outcome, "
    "coalesce(o.errors, '[]') AS errors, c.confirmation, d.jws, e.recorded_at "
    "FROM certificates c JOIN documents d USING (doc_id) JOIN entries e USING (doc_id) "
    "LEFT JOIN outcomes o ON o.doc_id = c.doc_id AND o.peer = c.peer AND c.side = 'exporter'"
)


class LedgerFacts:
    """`node.domain.facts.Facts` inside one transaction."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    def certificate(self, participant: str, number: str) -> HeldCertificate | None:
        """The certificate with this number, if held."""
        found = by_number(self._tx, number, participant)
        return None if found is None else self._held(found)

    def document_is_certificate(self, doc_id: str) -> HeldCertificate | None:
        """The certificate with this doc id, if held."""
        row = self._tx.execute(f"{_SELECT} WHERE c.doc_id = ?", (doc_id,)).fetchone()
        return None if row is None else self._held(_certificate(row))

    def re_exported(self, number: str) -> Decimal:
        """Carats already re-exported out of a certificate that came in here."""
        rows = self._tx.execute("SELECT carats FROM re_exports WHERE number = ?", (number,))
        return sum((Decimal(row["carats"]) for row in rows), Decimal(0))

    def _held(self, certificate: Certificate) -> HeldCertificate:
        jws = entries.document(self._tx, certificate.doc_id)
        assert jws is not None
        claims = entries.claims(jws)
        return HeldCertificate(
            doc_id=DocId(certificate.doc_id),
            number=certificate.number,
            iss=Authority(claims["iss"]),
            addressee=Authority(claims["aud"][0]),
            body=claims["body"],
            confirmed=certificate.confirmation is not None,
        )


def record(tx: Transaction, kind: str, iss: str, aud: str, doc_id: str, re: str | None,
           number: str, own: str) -> None:  # fmt: skip
    """Bring the read models up to a document that has just entered the log.

    Args:
        tx: The transaction of the entry.
        kind: The document's kind.
        iss: Who signed it.
        aud: Its addressee.
        doc_id: Its identity.
        re: The document it answers, if it does.
        number: The certificate's number.
        own: This node's authority.
    """
    if kind == "certificate":
        side, peer = ("exporter", aud) if iss == own else ("importer", iss)
        tx.execute(
            "INSERT INTO certificates (participant, number, doc_id, side, peer) "
            "VALUES (?, ?, ?, ?, ?)",
            (participant_of(iss), number, doc_id, side, peer),
        )
    elif kind == "confirmation":
        tx.execute("UPDATE certificates SET confirmation = ? WHERE doc_id = ?", (doc_id, re))


def use_source(tx: Transaction, number: str, carats: Decimal, used_by: str) -> None:
    """Note that a re-export took carats out of a certificate, once more if it did already."""
    row = tx.execute(
        "SELECT carats FROM re_exports WHERE number = ? AND used_by = ?", (number, used_by)
    ).fetchone()
    total = carats + (Decimal(row["carats"]) if row is not None else 0)
    tx.execute(
        "INSERT OR REPLACE INTO re_exports (number, carats, used_by) VALUES (?, ?, ?)",
        (number, str(total), used_by),
    )


def by_number(tx: Transaction, number: str, participant: str | None = None) -> Certificate | None:
    """A certificate by its number, which starts with its participant's letters."""
    row = tx.execute(
        f"{_SELECT} WHERE c.participant = ? AND c.number = ?", (participant or number[:2], number)
    ).fetchone()
    return None if row is None else _certificate(row)


def by_doc_id(tx: Transaction, doc_id: str) -> Certificate | None:
    """A certificate by its doc id."""
    row = tx.execute(f"{_SELECT} WHERE c.doc_id = ?", (doc_id,)).fetchone()
    return None if row is None else _certificate(row)


def listed(
    tx: Transaction,
    side: str | None,
    peer: str | None,
    after: str,
    limit: int,
    state: str | None = None,
) -> list[Certificate]:
    """Certificates by number, after a number; of a side, a peer and a state where given."""
    rows = tx.execute(
        f"{_SELECT} WHERE c.number > ? AND (? IS NULL OR c.side = ?) "
        "AND (? IS NULL OR c.peer = ?) ORDER BY c.number",
        (after, side, side, peer, peer),
    )
    found = (_certificate(row) for row in rows)
    return list(islice((c for c in found if state in (None, c.state.name)), limit))


@dataclass(frozen=True, slots=True)
class Event:
    """A moment in the life of a certificate: when, what, and the document that proves it."""

    at: int
    what: str
    document: str
    detail: str


def timeline(tx: Transaction, certificate: Certificate) -> list[Event]:
    """What happened to a certificate, oldest first."""
    what = "issued" if certificate.side == "exporter" else "received"
    way = "to" if certificate.side == "exporter" else "from"
    events = [Event(certificate.recorded_at, what, certificate.doc_id, f"{way} {certificate.peer}")]
    for row in tx.execute(
        "SELECT at, outcome, receipt, idx FROM outcomes WHERE doc_id = ?", (certificate.doc_id,)
    ):
        where = "" if row["idx"] is None else f" as entry {row['idx']} of its log"
        detail = f"{row['outcome']} by {certificate.peer}{where}"
        events.append(Event(row["at"], "receipt", row["receipt"], detail))
    if certificate.confirmation:
        row = tx.execute(
            "SELECT recorded_at FROM entries WHERE doc_id = ?", (certificate.confirmation,)
        ).fetchone()
        events.append(
            Event(row["recorded_at"], "confirmed", certificate.confirmation, "goods arrived")
        )
    return sorted(events, key=lambda event: event.at)


def _certificate(row: Any) -> Certificate:
    participant, number, doc_id, side, peer, outcome, errors, confirmation, jws, at = row
    body = entries.claims(bytes(jws))["body"]
    return Certificate(
        participant, number, doc_id, side, peer, outcome, json.loads(errors), confirmation, body, at
    )
