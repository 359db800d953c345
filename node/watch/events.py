"""What has happened, in order: the log's entries as CloudEvents. An id is an index; none is left out."""

import re
from collections.abc import Mapping
from typing import Any

from node.authority import OwnAuthority
from node.clock import iso
from node.domain import states
from node.domain.kinds import CERTIFICATE, KINDS, RECEIPT, RECORD
from node.ledger import entries
from node.ledger.database import Transaction
from node.ledger.entries import Entry

TYPE = "org.kp"


def after(own: OwnAuthority, last: int, limit: int) -> dict[str, Any]:
    """The events after one, oldest first, and the id to go on after.

    Args:
        own: Whose log.
        last: The id of the last event that is known; -1 for none.
        limit: At most so many.
    """

    def query(tx: Transaction) -> dict[str, Any]:
        found = [_event(tx, own, one) for one in entries.listed(tx, last + 1, limit)]
        end = found[-1]["id"] if found else str(last) if last >= 0 else None
        return {"items": found, "next": end}

    return own.ledger.read(query)


def _event(tx: Transaction, own: OwnAuthority, entry: Entry) -> dict[str, Any]:
    kind = KINDS[entry.typ]
    claims: Mapping[str, Any] = entries.claims(entry.jws) if entry.jws else {"body": {}}
    body = claims["body"]
    event = states.event_of(kind.name, body) if _is_told(kind.name, body) else kind.name
    mine = entry.iss == own.name
    way = "recorded" if kind is RECORD else ("issued" if mine else "received")
    return {
        "specversion": "1.0",
        "id": str(entry.index),
        "source": own.checkpoints.origin,
        "type": f"{TYPE}.{re.sub('[^a-z0-9-]', '.', event)}.{way}",
        **_subject(kind.name, claims, own.name),
        "time": iso(entry.recorded_at),
        "datacontenttype": "application/json",
        "data": {
            "document": entry.doc_id,
            "kind": kind.name,
            "by": entry.iss,
            "event": event,
            "state": _state(tx, entry, kind.name, claims),
        },
    }


def _is_told(kind: str, body: Mapping[str, Any]) -> bool:
    return bool(body) and kind != RECEIPT.name


def _subject(kind: str, claims: Mapping[str, Any], own: str) -> dict[str, str]:
    """A certificate's number, or the other authority."""
    body = claims["body"]
    if "number" in body:
        return {"subject": body["number"]}
    if "numbers" in body:
        return {"subject": body["numbers"]["first"]}
    others = [
        name for name in (claims.get("iss"), *claims.get("aud", ())) if name not in (None, own)
    ]
    return {"subject": others[0]} if others else {}


def _state(tx: Transaction, entry: Entry, kind: str, claims: Mapping[str, Any]) -> str | None:
    """The state that an event led a certificate to here, if it changed one."""
    if kind == CERTIFICATE.name:
        row = tx.execute("SELECT side FROM certificates WHERE entry = ?", (entry.index,)).fetchone()
        return states.FIRST[row["side"]] if row else None
    row = tx.execute(
        "SELECT state FROM life WHERE certificate = ? AND idx = ?",
        (claims.get("re", [""])[0], entry.index),
    ).fetchone()
    return (row["state"] or None) if row else None
