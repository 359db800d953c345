"""Certificates that came on paper only: presented here before, or without, their document."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from node.ledger.database import EACH, Transaction, each


@dataclass(frozen=True, slots=True)
class Paper:
    """A certificate presented on paper, whose document is not here."""

    number: str
    authority: str
    doc_id: str


def enter(tx: Transaction, doc_id: str, body: Mapping[str, Any]) -> None:
    """Bring the list up to a record that has no certificate to answer."""
    if body["act"] == "presentation":
        tx.execute(
            "INSERT INTO papers (number, authority, doc_id) VALUES (?, ?, ?)",
            (body["number"], body["from"], doc_id),
        )


def presented(tx: Transaction, numbers: Iterable[str]) -> set[str]:
    """Those numbers whose certificates were presented on paper."""
    rows = tx.execute(f"SELECT number FROM papers WHERE number IN {EACH}", (each(numbers),))
    return {row["number"] for row in rows}


def record_of(tx: Transaction, number: str) -> str | None:
    """The doc id of the record that a certificate was presented on paper, if it was."""
    row = tx.execute("SELECT doc_id FROM papers WHERE number = ?", (number,)).fetchone()
    return None if row is None else str(row["doc_id"])


def without_document(tx: Transaction) -> list[Paper]:
    """Papers whose document has not come yet, by number."""
    rows = tx.execute(
        "SELECT number, authority, doc_id FROM papers "
        "WHERE number NOT IN (SELECT number FROM certificates) ORDER BY number"
    )
    return [Paper(*row) for row in rows]


def forget(tx: Transaction) -> None:
    """Before the log is folded again."""
    tx.execute("DELETE FROM papers")
