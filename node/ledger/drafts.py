"""Drafts: numbers reserved before anything is issued, and what became of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from node import base64url, strict_json
from node.ledger import entries
from node.ledger.database import Transaction

DRAFT, INSPECTED, ISSUED, WITHDRAWN = "draft", "inspected", "issued", "withdrawn"
_NEXT = {"draft": DRAFT, "export-inspection": INSPECTED, "withdrawal": WITHDRAWN}


@dataclass(frozen=True, slots=True)
class Draft:
    """A number that is or was reserved.

    Attributes:
        officer: Who drafted, if he was named.
        shipment: As it was handed in.
    """

    number: str
    doc_id: str
    state: str
    officer: str | None
    shipment: Mapping[str, Any]


def enter(tx: Transaction, doc_id: str, body: Mapping[str, Any]) -> bool:
    """Bring drafts up to a record; False if it is about something else."""
    act, number = body["act"], body["number"]
    if act not in _NEXT:
        return False
    if act == "draft":
        tx.execute(
            "INSERT INTO drafts (number, doc_id, state, officer) VALUES (?, ?, ?, ?)",
            (number, doc_id, DRAFT, body["by"].get("officer")),
        )
    else:
        tx.execute("UPDATE drafts SET state = ? WHERE number = ?", (_NEXT[act], number))
    return True


def issued(tx: Transaction, number: str) -> None:
    """A certificate with this number has entered the log."""
    tx.execute("UPDATE drafts SET state = ? WHERE number = ?", (ISSUED, number))


def by_number(tx: Transaction, number: str) -> Draft | None:
    """The draft of a number, if there is or was one."""
    row = tx.execute("SELECT * FROM drafts WHERE number = ?", (number,)).fetchone()
    return None if row is None else _draft(tx, row)


def listed(tx: Transaction) -> list[Draft]:
    """Drafts that wait for a decision, by number."""
    rows = tx.execute(
        "SELECT * FROM drafts WHERE state IN (?, ?) ORDER BY number", (DRAFT, INSPECTED)
    )
    return [_draft(tx, row) for row in rows.fetchall()]


def forget(tx: Transaction) -> None:
    """Before the log is folded again."""
    tx.execute("DELETE FROM drafts")


def _draft(tx: Transaction, row: Any) -> Draft:
    jws = entries.document(tx, row["doc_id"])
    assert jws is not None
    shipment = strict_json.loads(base64url.decode(entries.claims(jws)["body"]["shipment"]))
    return Draft(row["number"], row["doc_id"], row["state"], row["officer"], shipment)
