"""The profiles that authorities have announced, as a read model of the log."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from node.domain.reference import Texts
from node.ledger.database import Transaction


@dataclass(frozen=True, slots=True)
class Announced:
    """A profile document; `body` is JSON."""

    doc_id: str
    authority: str
    begins: str
    body: str


def enter(tx: Transaction, doc_id: str, claims: Mapping[str, Any], entry: int, _: str) -> None:
    """Bring the list up to a profile."""
    body = claims["body"]
    tx.execute(
        "INSERT INTO profiles (entry, doc_id, authority, begins, body) VALUES (?, ?, ?, ?, ?)",
        (entry, doc_id, claims["iss"], body["from"], json.dumps(body, ensure_ascii=False)),
    )


def texts(tx: Transaction) -> Texts:
    """The bodies of all, newest first, as `node.domain.reference` takes them.

    One announced to several peers stands in the own log once for each, and counts once.
    """
    rows = tx.execute("SELECT authority, body FROM profiles ORDER BY entry DESC")
    return tuple(dict.fromkeys((row["authority"], row["body"]) for row in rows))


def listed(tx: Transaction) -> list[Announced]:
    """All, oldest first; of one announced to several peers, the first."""
    rows = tx.execute("SELECT doc_id, authority, begins, body FROM profiles ORDER BY entry DESC")
    return list({(row["authority"], row["body"]): Announced(*row) for row in rows}.values())[::-1]


def newest(tx: Transaction) -> int:
    """The entry of the last profile, or -1: what it changes, changes judgements."""
    (last,) = tx.execute("SELECT coalesce(max(entry), -1) FROM profiles").fetchone()
    return int(last)


def addressees(tx: Transaction, authority: str, body: str) -> set[str]:
    """Whom a profile of this authority has been sent to."""
    rows = tx.execute(
        "SELECT s.peer FROM profiles p JOIN stream_out s USING (doc_id) "
        "WHERE p.authority = ? AND p.body = ?",
        (authority, body),
    )
    return {row["peer"] for row in rows}


def forget(tx: Transaction) -> None:
    """Before the log is folded again."""
    tx.execute("DELETE FROM profiles")
