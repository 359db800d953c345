"""The whole life of a certificate, with receipts and failed attempts, and where its two sides differ."""

import json
from dataclasses import dataclass, replace
from typing import Any

from node.clock import iso
from node.domain import states
from node.domain.kinds import CERTIFICATE
from node.domain.states import EXPORTER, IMPORTER
from node.ledger import deliveries, entries, life, papers, streams
from node.ledger.certificates import Certificate
from node.ledger.database import Transaction
from node.ledger.life import Event


@dataclass(frozen=True, slots=True)
class OpenItem:
    """A document on a certificate that one side has and the other side's node has refused.

    Attributes:
        sent: Whether this authority sent it; else it came from the peer and was refused here.
        document: Its doc id.
        code: Why it was refused.
        detail: In words.
    """

    sent: bool
    document: str
    code: str
    detail: str


def timeline(tx: Transaction, certificate: Certificate) -> list[Event]:
    """What happened to a certificate, oldest first."""
    what = "issued" if certificate.side == EXPORTER else "received"
    jws = entries.document(tx, certificate.doc_id)
    assert jws is not None
    claims = entries.claims(jws)
    first = Event(
        certificate.recorded_at,
        what,
        certificate.doc_id,
        states.FIRST[certificate.side],
        life.who(CERTIFICATE.speaker, claims),
        claims["body"],
    )
    receipts = [
        Event(row["at"], f"receipt:{row['outcome']}", row["receipt"], "", certificate.peer, {})
        for row in tx.execute(
            "SELECT at, outcome, receipt FROM outcomes WHERE doc_id = ? AND peer = ?",
            (certificate.doc_id, certificate.peer),
        )
    ]
    for made in deliveries.about(tx, certificate.peer, certificate.doc_id):
        if made.step != deliveries.DELIVERED:
            often = f", {made.tries} times until {iso(made.until)}" if made.tries > 1 else ""
            why = {"remarks": f"{made.step}: {made.error}{often}"}
            receipts.append(Event(made.at, "attempt failed", "", "", certificate.peer, why))
    answers = life.answers(tx, [certificate.doc_id]).get(certificate.doc_id, [])
    paper = papers.by_number(tx, certificate.number) if certificate.side == IMPORTER else None
    if paper is not None:
        early = [life.record(tx, paper.doc_id, "record:presentation", states.ON_PAPER)]
        early += life.answers(tx, [paper.doc_id]).get(paper.doc_id, [])
        return [*early, replace(first, state=states.of_document(paper.state)), *answers]
    later = sorted([*receipts, *answers], key=lambda event: event.at)
    return [first, *later]


def open_items(tx: Transaction, certificate: Certificate) -> list[OpenItem]:
    """Where the two sides differ: what was refused there, and what was refused here."""
    refused_there = tx.execute(
        "SELECT o.doc_id, o.errors FROM life l JOIN outcomes o ON o.doc_id = l.doc_id "
        "WHERE l.certificate = ? AND o.peer = ? AND o.outcome = 'rejected' ORDER BY l.idx",
        (certificate.doc_id, certificate.peer),
    )
    items = [_open_item(True, row["doc_id"], json.loads(row["errors"])) for row in refused_there]
    items.extend(
        _open_item(False, kept.doc_id, kept.errors)
        for kept in streams.quarantined(tx, certificate.peer)
        if kept.jws is not None and _answered(kept.jws) == certificate.doc_id
    )
    return items


def _open_item(sent: bool, document: str, errors: list[dict[str, Any]]) -> OpenItem:
    return OpenItem(sent, document, errors[0]["code"], errors[0]["detail"])


def with_open_items(tx: Transaction) -> set[str]:
    """Doc ids of the certificates that have open items; some may not be held here."""
    refused_there = tx.execute(
        "SELECT DISTINCT l.certificate FROM life l JOIN documents d ON d.doc_id = l.certificate "
        "JOIN certificates c ON c.entry = d.idx JOIN outcomes o ON o.doc_id = l.doc_id AND o.peer = c.peer WHERE o.outcome = 'rejected'"
    )
    refused_here = tx.execute("SELECT jws FROM quarantine WHERE jws IS NOT NULL")
    answered = (_answered(bytes(row["jws"])) for row in refused_here)
    return {row["certificate"] for row in refused_there} | {a for a in answered if a}


def _answered(jws: bytes) -> str | None:
    """What a document names first in ``re``, as far as it can be read."""
    try:
        references = entries.claims(jws).get("re")
    except (ValueError, IndexError, AttributeError):
        return None  # what does not even parse answers nothing
    first = references[0] if isinstance(references, list) and references else None
    return first if isinstance(first, str) else None
