"""Who is told of events by webhook: address, and how far each has been told."""

from dataclasses import dataclass
from typing import Any

from node.ledger.database import Transaction


@dataclass(frozen=True, slots=True)
class Subscriber:
    """One webhook.

    Attributes:
        cursor: The id of the last event it has taken; -1 for none.
        attempts: Failures in a row.
        next_try: Not before this second.
        last_error: In words, or None.
        stopped_at: When it said that it is gone, or None.
    """

    id: str
    url: str
    made_at: int
    cursor: int
    attempts: int
    next_try: int
    last_error: str | None
    stopped_at: int | None


_COLUMNS = "id, url, made_at, cursor, attempts, next_try, last_error, stopped_at"


def add(tx: Transaction, subscriber_id: str, url: str, cursor: int, at_s: int) -> None:
    """Put a webhook on record."""
    tx.execute(
        "INSERT INTO subscribers (id, url, made_at, cursor) VALUES (?, ?, ?, ?)",
        (subscriber_id, url, at_s, cursor),
    )


def by_id(tx: Transaction, subscriber_id: str) -> Subscriber | None:
    """One webhook."""
    row = tx.execute(
        f"SELECT {_COLUMNS} FROM subscribers WHERE id = ?", (subscriber_id,)
    ).fetchone()
    return None if row is None else Subscriber(*row)


def listed(tx: Transaction) -> list[Subscriber]:
    """All webhooks, oldest first."""
    rows = tx.execute(f"SELECT {_COLUMNS} FROM subscribers ORDER BY made_at, id")
    return [Subscriber(*row) for row in rows]


def remove(tx: Transaction, subscriber_id: str) -> None:
    """Forget a webhook."""
    tx.execute("DELETE FROM subscribers WHERE id = ?", (subscriber_id,))


def took(tx: Transaction, subscriber_id: str, cursor: int) -> None:
    """It has taken an event."""
    tx.execute(
        "UPDATE subscribers SET cursor = ?, attempts = 0, next_try = 0, last_error = NULL "
        "WHERE id = ?",
        (cursor, subscriber_id),
    )


def failed(
    tx: Transaction, subscriber_id: str, error: str, next_try: int, *, stopped_at: int | None
) -> None:
    """It has not taken an event; or it said that it is gone."""
    tx.execute(
        "UPDATE subscribers SET attempts = attempts + 1, next_try = ?, last_error = ?, "
        "stopped_at = ? WHERE id = ?",
        (next_try, error[:300], stopped_at, subscriber_id),
    )


def go_on(tx: Transaction, subscriber_id: str, cursor: int) -> None:
    """Tell it again from after an event, at once, also if it was stopped."""
    tx.execute(
        "UPDATE subscribers SET cursor = ?, attempts = 0, next_try = 0, stopped_at = NULL "
        "WHERE id = ?",
        (cursor, subscriber_id),
    )


def as_json(one: Subscriber) -> dict[str, Any]:
    """A webhook for programs and tables."""
    state = "stopped" if one.stopped_at else "waiting" if one.attempts else "good"
    return {
        "id": one.id,
        "url": one.url,
        "state": state,
        "cursor": one.cursor,
        "attempts": one.attempts,
        "last_error": one.last_error,
    }
