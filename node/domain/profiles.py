"""What an authority's certificates look like: number form and ranges, validity, statement, who signs.

Values only. Where they come from is in `node.domain.reference`: the package's data, and the profile
documents of the authorities themselves.
"""

import calendar
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import MAXYEAR, date
from functools import lru_cache
from typing import Any

from node.clock import days_after


@dataclass(frozen=True, slots=True)
class Validity:
    """A validity rule: a number of days (day of issue not counted) or of months."""

    days: int = 0
    months: int = 0

    def last_day(self, issued_on: date) -> date:
        """The last day of validity; of a month without that day, its last day."""
        if self.days:
            return days_after(issued_on, self.days)
        year, month = divmod(issued_on.month - 1 + self.months, 12)
        year, month = issued_on.year + year, month + 1
        if year > MAXYEAR:
            return date.max
        return date(year, month, min(issued_on.day, calendar.monthrange(year, month)[1]))


_USUAL = (Validity(days=60), Validity(months=2))


@dataclass(frozen=True, slots=True)
class Profile:
    """The rules of an authority on a day.

    Attributes:
        announced: Whether the authority's own rules are known; others get the longer of both
            usual validity rules.
        ranges: First and last number of each range in use that day; None if none were announced.
        capabilities: What it may do, or None if it has not said: ``issue``, ``confirm``,
            ``technical-certificates``.
        signatories: Who may sign in its name that day, or None if it has not said.
    """

    participant: str
    number_pattern: re.Pattern[str]
    statement: str
    validity: Validity
    announced: bool
    ranges: tuple[tuple[str, str], ...] | None = None
    capabilities: frozenset[str] | None = None
    signatories: frozenset[str] | None = None

    def longest(self, issued_on: date) -> date:
        """The latest day of expiry that may be accepted."""
        rules = (self.validity,) if self.announced else _USUAL
        return max(rule.last_day(issued_on) for rule in rules)

    def fits(self, number: str) -> bool:
        """Whether a number has the issuer's form and letters."""
        return fits(self.participant, self.number_pattern, number)

    def in_range(self, number: str) -> bool:
        """Whether a number lies in a range announced for the day, byte for byte."""
        return self.ranges is None or any(
            within(number, first, last) for first, last in self.ranges
        )


def fits(participant: str, pattern: re.Pattern[str], number: str) -> bool:
    """Whether a number has a form, and the letters of its participant."""
    return number.startswith(participant) and bool(pattern.fullmatch(number))


def within(number: str, first: str, last: str) -> bool:
    """Whether a number lies in a range: of the same length, compared byte for byte."""
    return len(number) == len(first) and first <= number <= last


def of_entry(participant: str, entry: Mapping[str, Any], day: date, *, announced: bool) -> Profile:
    """The rules that an entry of the package, or the body of a profile document, means on a day."""
    ranges, signatories = entry.get("ranges"), entry.get("signatories")
    capabilities = entry.get("capabilities")
    return Profile(
        participant=participant,
        number_pattern=compiled(entry["number_pattern"]),
        statement=entry["statement"],
        validity=Validity(**entry["validity"]),
        announced=announced,
        ranges=None if ranges is None else tuple((r["first"], r["last"]) for r in _on(ranges, day)),
        capabilities=None if capabilities is None else frozenset(capabilities),
        signatories=None
        if signatories is None
        else frozenset(one["name"] for one in _on(signatories, day)),
    )


def _on(spans: Iterable[Mapping[str, Any]], day: date) -> list[Mapping[str, Any]]:
    return [one for one in spans if covers(one.get("from"), one.get("until"), day)]


def covers(first: str | None, last: str | None, day: date) -> bool:
    """Whether a day lies in a span of days as documents write them; an open end has no text."""
    text = day.isoformat()
    return (not first or first <= text) and (not last or text <= last)


@lru_cache(maxsize=256)
def compiled(pattern: str) -> re.Pattern[str]:
    """A number pattern, to be used with `re.Pattern.fullmatch`.

    Raises:
        re.error: It is none. What is no pattern of a kind that is quick to match is refused by the
            schema of profiles already.
    """
    return re.compile(pattern, re.ASCII)
