"""What has answered a certificate, as the log was folded: the documents about it, in order."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from node.domain.kinds import KINDS, RECORD
from node.ledger import entries
from node.ledger.database import EACH, Transaction, each


@dataclass(frozen=True, slots=True)
class Event:
    """A moment in the life of a certificate.

    Attributes:
        at: Seconds.
        what: The event, e.g. ``discrepancy``.
        document: The doc id of what proves it, or ``""``.
        state: The state it led to, or ``""`` where it changed none.
        who: Authority, office and officer who did it, as far as they are named.
        body: The document's body, empty for a receipt.
    """

    at: int
    what: str
    document: str
    state: str
    who: str
    body: Mapping[str, Any]


def answers(tx: Transaction, doc_ids: Iterable[str]) -> dict[str, list[Event]]:
    """What happened to certificates, oldest first, by their doc ids; nothing for those without."""
    rows = tx.execute(
        "SELECT l.certificate, e.recorded_at, l.event, l.doc_id, l.state, d.typ, d.jws FROM life l "
        "JOIN entries e USING (idx) JOIN documents d USING (idx) "
        f"WHERE l.certificate IN {EACH} ORDER BY l.certificate, l.idx",
        (each(doc_ids),),
    )
    found: dict[str, list[Event]] = {}
    for certificate, at, event, doc_id, state, typ, jws in rows:
        claims = entries.claims(bytes(jws))
        by = who(KINDS[typ].speaker, claims)
        told = Event(at, event, doc_id, state, by, claims["body"])
        found.setdefault(certificate, []).append(told)
    return found


def record(tx: Transaction, doc_id: str, what: str, state: str) -> Event:
    """A record of this authority as an event."""
    jws = entries.document(tx, doc_id)
    assert jws is not None
    row = tx.execute(
        "SELECT recorded_at FROM entries JOIN documents d USING (idx) WHERE d.doc_id = ?", (doc_id,)
    ).fetchone()
    claims = entries.claims(jws)
    return Event(
        row["recorded_at"], what, doc_id, state, who(RECORD.speaker, claims), claims["body"]
    )


def who(speaker: str, claims: Mapping[str, Any]) -> str:
    """Authority, office and officer that a payload names as its speaker."""
    named = claims["body"].get(speaker, {})
    parts = (named.get("authority", claims["iss"]), named.get("office"), named.get("officer"))
    return ", ".join(part for part in parts if part)
