"""Certificates that came on paper only: presented here before, or without, their document.

What happens to their goods meanwhile is their life, as that of a certificate is, by the doc id of the
record that they were presented.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from node.domain import states
from node.domain.states import IMPORTER
from node.ledger import register
from node.ledger.database import EACH, Transaction, each


@dataclass(frozen=True, slots=True)
class Paper:
    """A certificate presented on paper, whose document is not here."""

    number: str
    authority: str
    doc_id: str
    state: str

    @property
    def open(self) -> bool:
        """Whether its goods still wait for a decision."""
        return states.unheld(self.state) == states.ON_PAPER


_SELECT = "SELECT number, authority, doc_id, state FROM papers"


def enter(tx: Transaction, doc_id: str, body: Mapping[str, Any], entry: int) -> None:
    """Bring the list up to a record that has no certificate to answer."""
    event = states.event_of("record", body)
    if body["act"] == "presentation":
        tx.execute(
            "INSERT INTO papers (number, authority, doc_id, state) VALUES (?, ?, ?, ?)",
            (body["number"], body["from"], doc_id, states.ON_PAPER),
        )
    elif states.rule_of(IMPORTER, event) and (paper := by_number(tx, body["number"])) is not None:
        change = states.transition(IMPORTER, paper.state, event)
        assert change is not None, f"rules allow {event} of a paper that is {paper.state}"
        state = change.target or paper.state
        tx.execute("UPDATE papers SET state = ? WHERE number = ?", (state, paper.number))
        tx.execute(
            "INSERT INTO life (certificate, idx, event, doc_id, state) VALUES (?, ?, ?, ?, ?)",
            (paper.doc_id, entry, event, doc_id, state),
        )
        if "alerts" in body:
            register.look_at(tx, paper.doc_id, entry)


def among(tx: Transaction, numbers: Iterable[str]) -> dict[str, Paper]:
    """Those numbers whose certificates were presented on paper."""
    rows = tx.execute(f"{_SELECT} WHERE number IN {EACH}", (each(numbers),))
    return {row["number"]: Paper(*row) for row in rows}


def by_number(tx: Transaction, number: str) -> Paper | None:
    """A certificate that was presented on paper, if it was."""
    return among(tx, [number]).get(number)


def without_document(tx: Transaction) -> list[Paper]:
    """Papers whose document has not come yet, by number."""
    rows = tx.execute(
        f"{_SELECT} WHERE number NOT IN (SELECT number FROM certificates) ORDER BY number"
    )
    return [Paper(*row) for row in rows]


def forget(tx: Transaction) -> None:
    """Before the log is folded again."""
    tx.execute("DELETE FROM papers")
