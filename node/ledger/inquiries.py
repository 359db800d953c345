"""Inquiries and their answers, both ways, as a read model of the log."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from node.domain import facts
from node.ids import Authority, DocId, participant_of
from node.ledger import entries
from node.ledger.database import Transaction


@dataclass(frozen=True, slots=True)
class Asked:
    """An inquiry; the newest answer to it, if there is one.

    Attributes:
        peer: The other side.
        sent: Whether this authority asked; else it was asked.
        answer_by: The day an answer is asked for, ``YYYY-MM-DD``.
        first: The inquiry that this one repeats; itself where it is the first.
        again: How often it was asked before.
    """

    doc_id: str
    number: str
    peer: str
    sent: bool
    asks: str
    answer_by: str
    asked_at: int
    first: str
    answer: str | None
    verdict: str | None
    answered_at: int | None
    again: int


_SELECT = (
    "SELECT q.doc_id, q.number, q.peer, q.sent, q.asks, q.answer_by, q.asked_at, q.first, "
    "q.answer, q.verdict, q.answered_at, (SELECT count(*) FROM inquiries p WHERE p.number = "
    "q.number AND p.first = q.first AND p.entry < q.entry) AS again FROM inquiries q"
)


def ask(tx: Transaction, doc_id: str, claims: Mapping[str, Any], entry: int, own: str) -> None:
    """Bring the list up to an inquiry."""
    body, sent = claims["body"], claims["iss"] == own
    peer = claims["aud"][0] if sent else claims["iss"]
    first = claims.get("re", [doc_id])[0]
    tx.execute(
        "INSERT INTO inquiries (doc_id, entry, number, peer, sent, asks, answer_by, asked_at, "
        "first) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (doc_id, entry, body["number"], peer, sent, body["asks"], body["answer_by"], claims["iat"],
         first),
    )  # fmt: skip


def answer(tx: Transaction, doc_id: str, claims: Mapping[str, Any], _: int, __: str) -> None:
    """Bring the list up to an answer: it settles the inquiry, and those that it repeats."""
    tx.execute(
        "UPDATE inquiries SET answer = ?, verdict = ?, answered_at = ? WHERE number = ? AND first = "
        "(SELECT first FROM inquiries WHERE doc_id = ?)",
        (doc_id, claims["body"]["verdict"], claims["iat"], claims["body"]["number"],
         claims["re"][0]),
    )  # fmt: skip


def by_doc_id(tx: Transaction, doc_id: str) -> Asked | None:
    """One inquiry."""
    row = tx.execute(f"{_SELECT} WHERE q.doc_id = ?", (doc_id,)).fetchone()
    return None if row is None else _asked(row)


def about(tx: Transaction, number: str) -> list[Asked]:
    """The inquiries about a number, oldest first."""
    return [
        _asked(row)
        for row in tx.execute(f"{_SELECT} WHERE q.number = ? ORDER BY q.entry", (number,))
    ]


def disowned(tx: Transaction, number: str) -> Asked | None:
    """The inquiry whose answer, the newest of the number's participant, calls it not genuine."""
    answers = [
        one for one in about(tx, number)
        if one.sent and one.asks == "genuine" and one.verdict and participant_of(one.peer) == number[:2]
    ]  # fmt: skip
    answers.sort(key=lambda one: one.answered_at or 0)  # of the same second, as they were asked
    newest = answers[-1] if answers else None
    return newest if newest and newest.verdict == "not-genuine" else None


def listed(tx: Transaction, after: str, limit: int) -> list[Asked]:
    """Inquiries, oldest first, after one of them."""
    rows = tx.execute(
        f"{_SELECT} WHERE q.entry > coalesce((SELECT entry FROM inquiries WHERE doc_id = ?), -1) "
        "ORDER BY q.entry LIMIT ?",
        (after, limit),
    )
    return [_asked(row) for row in rows]


def waiting(tx: Transaction) -> list[Asked]:
    """Inquiries without an answer, oldest first; of those that repeat each other, the newest."""
    rows = tx.execute(f"{_SELECT} WHERE q.answer IS NULL ORDER BY q.entry")
    return list({(row["number"], row["first"]): _asked(row) for row in rows}.values())


def fact(tx: Transaction, doc_id: str, own: str) -> facts.Inquiry | None:
    """An inquiry as rules see it."""
    asked = by_doc_id(tx, doc_id)
    if asked is None:
        return None
    asker, other = (own, asked.peer) if asked.sent else (asked.peer, own)
    return facts.Inquiry(
        DocId(doc_id), asked.number, Authority(asker), Authority(other), asked.asks,
        body(tx, doc_id),
    )  # fmt: skip


def body(tx: Transaction, doc_id: str) -> Mapping[str, Any]:
    """The body of an inquiry or an answer that is in the log."""
    jws = entries.document(tx, doc_id)
    assert jws is not None
    found: Mapping[str, Any] = entries.claims(jws)["body"]
    return found


def forget(tx: Transaction) -> None:
    """Before the log is folded again."""
    tx.execute("DELETE FROM inquiries")


def _asked(row: Any) -> Asked:
    return Asked(**dict(row) | {"sent": bool(row["sent"])})
