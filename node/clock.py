"""Time is handed in: one small protocol and the real clock."""

from datetime import UTC, date, datetime
from typing import Protocol

CLOCK_GRACE_S = 120
"""Clocks of two authorities may differ by this much (protocol section 4)."""


class Clock(Protocol):
    """Tells the time; aware, UTC. Read it once a request."""

    def now(self) -> datetime:
        """The present moment."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The present moment, UTC."""
        return datetime.now(UTC)


def days_after(day: date, days: int) -> date:
    """The day so many days later, or earlier; beyond the calendar's ends, its last or first."""
    return date.fromordinal(max(1, min(day.toordinal() + days, date.max.toordinal())))


def first_elsewhere(day: str) -> str:
    """The day that the first hours of a day still have further west: the one before.

    What is issued in Moscow after midnight is confirmed in Antwerp on the eve.
    """
    return days_after(date.fromisoformat(day), -1).isoformat()


def iso(at_s: int) -> str:
    """A second as people and programs read it, e.g. ``2026-11-22T09:00:00Z``."""
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def at(text: str) -> int:
    """The second that a text of `iso` names."""
    return int(datetime.fromisoformat(text).timestamp())


def seconds(moment: datetime) -> int:
    """Whole seconds since 1970, as documents carry them."""
    return int(moment.timestamp())
