"""The logs of this node in turn: a successor begins where one cannot be continued (protocol section 5).

A successor has the documents of the log before it in the same order, hence the same indexes, under
leaves of its own origin. The tables of the log before stay in the file, append-only as ever.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from node import base64url
from node.ledger import entries
from node.ledger.database import Transaction
from node.ledger.sqlite import append_only
from node.log import tree

_TABLES = ("entries", "nodes", "checkpoints")


@dataclass(frozen=True, slots=True)
class Successor:
    """A log that took over: its number, the last checkpoint of the one before, and why."""

    number: int
    predecessor: str
    because: str
    began_at: int


def number(tx: Transaction) -> int:
    """The number of the present log, 1 unless one has succeeded."""
    (last,) = tx.execute("SELECT max(number) FROM logs").fetchone()
    return 1 if last is None else int(last)


def listed(tx: Transaction) -> list[Successor]:
    """The successor logs, oldest first."""
    rows = tx.execute("SELECT number, predecessor, because, began_at FROM logs ORDER BY number")
    return [Successor(*row) for row in rows]


def announced(tx: Transaction, iss: str, origin: str) -> Mapping[str, Any] | None:
    """The body of a peer's document that announces one of its logs, or None."""
    return next((claims["body"] for _, claims in _announcements(tx, iss, origin)), None)


def told(tx: Transaction, iss: str, origin: str) -> dict[str, str]:
    """Whom an authority has told of one of its logs: the doc id of what each was sent."""
    found = _announcements(tx, iss, origin)
    return {name: doc_id for doc_id, claims in found for name in claims["aud"]}


def _announcements(
    tx: Transaction, iss: str, origin: str
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    rows = tx.execute(
        "SELECT doc_id, jws FROM documents WHERE typ = 'vnd.kp.succession.v1+jwt' AND iss = ?",
        (iss,),
    )
    for row in rows:
        claims = entries.claims(bytes(row["jws"]))
        if claims["body"]["origin"] == origin:
            yield row["doc_id"], claims


def succeed(
    tx: Transaction, new: int, origin: str, predecessor: str, because: str, at_s: int
) -> None:
    """Begin another log of this node.

    Args:
        tx: The transaction.
        new: Its number, beyond every one that anybody has seen.
        origin: Its origin.
        predecessor: The last known checkpoint of the present one, as a note.
        because: The operator's reason.
        at_s: Now.
    """
    before = number(tx)
    for table in _TABLES:
        (created,) = tx.execute(
            "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?", (table,)
        ).fetchone()
        tx.execute(f"ALTER TABLE {table} RENAME TO {table}_of_log_{before}")
        for event in ("update", "delete"):  # the renamed table keeps its own; names are taken
            tx.execute(f"DROP TRIGGER {table}_no_{event}")
        append_only(tx, f"{table}_of_log_{before}")
        tx.execute(created)
        append_only(tx, table)
    rows = tx.execute(f"SELECT doc_id, recorded_at FROM entries_of_log_{before} ORDER BY idx")
    leaves = [
        (doc_id, tree.entry_leaf(origin, base64url.decode(doc_id)), recorded_at)
        for doc_id, recorded_at in rows
    ]
    entries.place(tx, leaves)
    tx.execute(
        "INSERT INTO logs (number, predecessor, because, began_at) VALUES (?, ?, ?, ?)",
        (new, predecessor, because, at_s),
    )
