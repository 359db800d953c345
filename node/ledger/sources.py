"""What came in under a certificate, and what has gone out again: re-export accounting.

In comes what was admitted, through the node or on paper; an adjustment says why it may be more
(another lot of the same goods) or is less (a processing loss). Out goes what re-exports name.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from node import base64url
from node.domain import states
from node.domain.kinds import RECORD
from node.ledger.database import EACH, Transaction, each

ADMITTED = ("admitted", "admitted as amended")
"""States of a certificate whose goods came in."""

GIVES_BACK = ("void", "replaced", "cancelled", "lapsed")
"""States of a re-export whose goods never left, or came back: what it took is there again."""


NEAR = 1000
"""Within so many entries before a certificate the log has the record of its sources."""


@dataclass(frozen=True, slots=True)
class Use:
    """A re-export that took carats out of a certificate; `counts` unless they are there again."""

    number: str
    carats: Decimal
    state: str
    counts: bool


def enter(tx: Transaction, doc_id: str, body: Mapping[str, Any]) -> None:
    """Bring the accounts up to a record, if it is one of theirs."""
    act = body["act"]
    if act == "sources":
        _use(tx, body)
    elif act == "admission":
        tx.execute(
            "INSERT INTO admissions (number, authority, carats, doc_id) VALUES (?, ?, ?, ?)",
            (body["number"], body["from"], body["carats"], doc_id),
        )
    elif act == "adjustment":
        sign = "-" if body["change"] == "less" else ""
        tx.execute(
            "INSERT INTO adjustments (doc_id, number, carats) VALUES (?, ?, ?)",
            (doc_id, body["number"], sign + body["carats"]),
        )


def _use(tx: Transaction, body: Mapping[str, Any]) -> None:
    disclosed = json.loads(base64url.decode(body["disclosure"]))
    taken: dict[str, Decimal] = {}
    for source in disclosed["source_certificates"]:
        number = source["number"]
        taken[number] = taken.get(number, Decimal(0)) + Decimal(source["carats"])
    tx.executemany(
        "INSERT INTO re_exports (number, carats, used_by) VALUES (?, ?, ?)",
        [(number, str(carats), body["number"]) for number, carats in taken.items()],
    )


def on_paper(tx: Transaction, number: str) -> tuple[str, Decimal] | None:
    """Issuer and carats of a certificate that was admitted on paper, if it was."""
    row = tx.execute(
        "SELECT authority, carats FROM admissions WHERE number = ?", (number,)
    ).fetchone()
    return None if row is None else (str(row["authority"]), Decimal(row["carats"]))


def admitted_on_paper(tx: Transaction, numbers: Iterable[str]) -> dict[str, Decimal]:
    """Those numbers whose goods were admitted on paper, with their carats."""
    rows = tx.execute(
        f"SELECT number, carats FROM admissions WHERE number IN {EACH}", (each(numbers),)
    )
    return {row["number"]: Decimal(row["carats"]) for row in rows}


def admissions(tx: Transaction) -> list[tuple[str, str]]:
    """Number and doc id of the record of each admission on paper, by number."""
    rows = tx.execute("SELECT number, doc_id FROM admissions ORDER BY number")
    return [(row["number"], row["doc_id"]) for row in rows]


def adjusted(tx: Transaction, number: str) -> Decimal:
    """By how many carats the account of a certificate was adjusted."""
    rows = tx.execute("SELECT carats FROM adjustments WHERE number = ?", (number,))
    return sum((Decimal(row["carats"]) for row in rows), Decimal(0))


def uses(tx: Transaction, number: str) -> list[Use]:
    """The re-exports out of a certificate, by number."""
    rows = tx.execute(
        "SELECT r.used_by, r.carats, coalesce(c.state, '') AS state FROM re_exports r "
        "LEFT JOIN certificates c ON c.participant = substr(r.used_by, 1, 2) "
        "AND c.number = r.used_by AND +c.side = ? "
        "WHERE r.number = ? ORDER BY r.used_by",
        (states.EXPORTER, number),
    )
    return [
        Use(row["used_by"], Decimal(row["carats"]), row["state"], row["state"] not in GIVES_BACK)
        for row in rows
    ]


def re_exported(tx: Transaction, number: str) -> Decimal:
    """Carats that went out of a certificate and have not come back."""
    return sum((use.carats for use in uses(tx, number) if use.counts), Decimal(0))


def disclosure(tx: Transaction, number: str) -> str | None:
    """The sources of a re-export issued here, with their salt, as its record has them."""
    row = tx.execute(
        "SELECT d.jws FROM certificates c JOIN documents d ON d.idx BETWEEN c.entry - ? AND c.entry "
        "WHERE c.participant = ? AND c.number = ? AND +c.side = ? AND d.typ = ? "
        "ORDER BY d.idx DESC",
        (NEAR, number[:2], number, states.EXPORTER, RECORD.typ),
    )
    for found in row:
        body = json.loads(base64url.decode(bytes(found["jws"]).split(b".")[1]))["body"]
        if body["act"] == "sources" and body["number"] == number:
            return str(body["disclosure"])
    return None


def forget(tx: Transaction) -> None:
    """Before the log is folded again."""
    for table in ("re_exports", "admissions", "adjustments"):
        tx.execute(f"DELETE FROM {table}")
