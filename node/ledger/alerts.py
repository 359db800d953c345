"""Alerts: conditions that hold, since when, and whether the operator was told."""

from dataclasses import dataclass

from node.ledger.database import Transaction


@dataclass(frozen=True, slots=True)
class Alert:
    """A condition that holds or has held.

    Attributes:
        code: One of `node.watch.conditions`.
        subject: The peer it concerns, or ``""`` for the node itself.
        detail: In words, as last seen.
        since: From when it held, seconds.
        opened_at: From when it counts, or None while it may still go away by itself.
        better_since: From when it has not held any more, or None.
    """

    code: str
    subject: str
    detail: str
    since: int
    opened_at: int | None
    better_since: int | None


def standing(tx: Transaction) -> list[Alert]:
    """All that holds, or may still be over, oldest first."""
    rows = tx.execute(
        "SELECT code, subject, detail, since, opened_at, better_since FROM alerts "
        "ORDER BY since, code, subject"
    )
    return [Alert(*row) for row in rows]


def opened(tx: Transaction) -> list[Alert]:
    """The alerts that an operator is to see, oldest first."""
    return [alert for alert in standing(tx) if alert.opened_at is not None]


def keep(tx: Transaction, alert: Alert) -> None:
    """Write down how a condition stands."""
    tx.execute(
        "INSERT INTO alerts (code, subject, detail, since, opened_at, better_since) "
        "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (code, subject) DO UPDATE SET "
        "detail = excluded.detail, opened_at = excluded.opened_at, "
        "better_since = excluded.better_since",
        (alert.code, alert.subject, alert.detail, alert.since, alert.opened_at,
         alert.better_since),
    )  # fmt: skip


def drop(tx: Transaction, alert: Alert) -> None:
    """A condition is over."""
    tx.execute("DELETE FROM alerts WHERE code = ? AND subject = ?", (alert.code, alert.subject))
