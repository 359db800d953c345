"""What each participant's certificates look like: number form, validity rule, statement.

Dated data of the package, until `profile` documents bring them. A participant without an entry
issues by the default; what it may have decided otherwise is given the longer of both rules.
"""

import calendar
import json
import re
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache, lru_cache
from importlib import resources
from typing import Any


@dataclass(frozen=True, slots=True)
class Validity:
    """A validity rule: a number of days (day of issue not counted) or of months."""

    days: int = 0
    months: int = 0

    @lru_cache(maxsize=4096)  # noqa: B019 - values, of which there are a few
    def last_day(self, issued_on: date) -> date:
        """The last day of validity; of a month without that day, its last day."""
        if issued_on > date.max - timedelta(days=self.days + 31 * self.months):
            return date.max
        if self.days:
            return issued_on + timedelta(days=self.days)
        year, month = divmod(issued_on.month - 1 + self.months, 12)
        year, month = issued_on.year + year, month + 1
        return date(year, month, min(issued_on.day, calendar.monthrange(year, month)[1]))


@dataclass(frozen=True, slots=True)
class Profile:
    """A participant's rules on a day.

    Attributes:
        announced: Whether the participant's own rules are known.
        ranges: First and last number of each range in use; empty if none were announced.
    """

    participant: str
    number_pattern: re.Pattern[str]
    statement: str
    validity: Validity
    announced: bool
    ranges: tuple[tuple[str, str], ...] = ()

    def longest(self, issued_on: date) -> date:
        """The latest day of expiry that may be accepted."""
        rules = [self.validity] if self.announced else [Validity(days=60), Validity(months=2)]
        return max(rule.last_day(issued_on) for rule in rules)

    def fits(self, number: str) -> bool:
        """Whether a number has the issuer's form and letters."""
        return number.startswith(self.participant) and bool(self.number_pattern.fullmatch(number))

    def in_range(self, number: str) -> bool:
        """Whether a number lies in an announced range, byte for byte and of the same length."""
        return not self.ranges or any(
            len(number) == len(first) and first <= number <= last for first, last in self.ranges
        )


@lru_cache(maxsize=4096)
def profile(participant: str, day: date) -> Profile:
    """The rules of a participant on a day; before its first known ones, the first."""
    data = _entry("default", day) | _entry(participant, day)
    return Profile(
        participant=participant,
        number_pattern=_compiled(data["number_pattern"]),
        statement=data["statement"],
        validity=Validity(**data["validity"]),
        announced=participant in _data(),
        ranges=tuple((first, last) for first, last in data.get("ranges", ())),
    )


def _entry(name: str, day: date) -> dict[str, Any]:
    known = _data().get(name, [])
    dated = [e for e in known if date.fromisoformat(e["from"]) <= day]
    return (dated or known[:1] or [{}])[-1]


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII)


@cache
def _data() -> dict[str, list[dict[str, Any]]]:
    file = resources.files("node.domain") / "data" / "profiles.json"
    data: dict[str, list[dict[str, Any]]] = json.loads(file.read_text("utf-8"))
    return data
