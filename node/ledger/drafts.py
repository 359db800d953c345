"""Drafts: numbers reserved before anything is issued, and what became of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from node import base64url, strict_json
from node.domain import states
from node.domain.states import DRAFTING
from node.ledger import entries
from node.ledger.database import EACH, Transaction, each


@dataclass(frozen=True, slots=True)
class Draft:
    """A number that is or was reserved.

    Attributes:
        state: A state of `node.domain.states`.
        officer: Who drafted, if he was named.
        shipment: As it was handed in.
        found: What inspections before export found, each member as the newest has it.
    """

    number: str
    doc_id: str
    state: str
    officer: str | None
    shipment: Mapping[str, Any]
    found: Mapping[str, Any]

    @property
    def open(self) -> bool:
        """Whether it can still be issued or withdrawn."""
        return bool(states.allowed(DRAFTING, self.state))


def enter(tx: Transaction, doc_id: str, body: Mapping[str, Any]) -> bool:
    """Bring drafts up to a record; False if it is about something else."""
    if body["act"] == "draft":
        tx.execute(
            "INSERT INTO drafts (number, doc_id, state, officer) VALUES (?, ?, ?, ?)",
            (body["number"], doc_id, states.FIRST[DRAFTING], body["by"].get("officer")),
        )
        return True
    event = states.event_of("record", body)
    if states.rule_of(DRAFTING, event) is None:
        return False
    _change(tx, body["number"], event)
    if "found" in body:
        # What one inspection found stays found until another says otherwise.
        (before,) = tx.execute(
            "SELECT found FROM drafts WHERE number = ?", (body["number"],)
        ).fetchone()
        found = strict_json.dumps({**strict_json.loads(before.encode()), **body["found"]}).decode()
        tx.execute("UPDATE drafts SET found = ? WHERE number = ?", (found, body["number"]))
    return True


def issued(tx: Transaction, numbers: Iterable[str]) -> None:
    """Certificates with these numbers have entered the log, with or without a draft."""
    for number in among(tx, numbers):
        _change(tx, number, "certificate")


def among(tx: Transaction, numbers: Iterable[str]) -> set[str]:
    """Those numbers that have or had a draft."""
    rows = tx.execute(f"SELECT number FROM drafts WHERE number IN {EACH}", (each(numbers),))
    return {row["number"] for row in rows}


def _change(tx: Transaction, number: str, event: str) -> None:
    row = tx.execute("SELECT state FROM drafts WHERE number = ?", (number,)).fetchone()
    if row is not None:
        change = states.transition(DRAFTING, row["state"], event)
        assert change is not None, f"rules allow {event} of a draft that is {row['state']}"
        tx.execute("UPDATE drafts SET state = ? WHERE number = ?", (change.target, number))


def by_number(tx: Transaction, number: str) -> Draft | None:
    """The draft of a number, if there is or was one."""
    row = tx.execute("SELECT * FROM drafts WHERE number = ?", (number,)).fetchone()
    return None if row is None else _draft(tx, row)


def listed(tx: Transaction) -> list[Draft]:
    """Drafts that wait for a decision, by number."""
    rows = tx.execute("SELECT * FROM drafts ORDER BY number").fetchall()
    return [_draft(tx, row) for row in rows if states.allowed(DRAFTING, row["state"])]


def forget(tx: Transaction) -> None:
    """Before the log is folded again."""
    tx.execute("DELETE FROM drafts")


def _draft(tx: Transaction, row: Any) -> Draft:
    jws = entries.document(tx, row["doc_id"])
    assert jws is not None
    shipment = strict_json.loads(base64url.decode(entries.claims(jws)["body"]["shipment"]))
    found = strict_json.loads(row["found"].encode())
    return Draft(row["number"], row["doc_id"], row["state"], row["officer"], shipment, found)
