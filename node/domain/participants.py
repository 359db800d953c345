"""Participants of the scheme and their territories, as dated reference data."""

import csv
from dataclasses import dataclass
from datetime import date
from functools import cache, lru_cache
from importlib import resources

from node.ids import participant_of


@dataclass(frozen=True, slots=True)
class Standing:
    """A participant's status over a span of days; both ends belong to it, None is open."""

    code: str
    name: str
    first: date | None
    last: date | None
    status: str

    def covers(self, day: date) -> bool:
        """Whether the span has this day."""
        return (self.first is None or self.first <= day) and (self.last is None or day <= self.last)


@lru_cache(maxsize=16384)
def standing(code: str, day: date) -> Standing | None:
    """A participant's standing on a day, or None if it was no participant."""
    return next((row for row in _standings().get(code, ()) if row.covers(day)), None)


def participants_on(day: date) -> list[str]:
    """The codes of all participants on a day, in alphabetical order."""
    return sorted(code for code in _standings() if standing(code, day) is not None)


def name_of(code: str) -> str:
    """A participant's name, or the code itself."""
    rows = _standings().get(code)
    return rows[-1].name if rows else code


def lies_within(country: str, participant: str) -> bool:
    """Whether a country belongs to a participant for the purposes of the scheme."""
    return country == participant or country in _territories().get(participant, frozenset())


def same_participant_apart(one: str, other: str) -> bool:
    """Whether two authorities share a participant but run separate schemes (Mainland, Hong Kong)."""
    return participant_of(one) == participant_of(other) == "CN" and one != other


@cache
def _standings() -> dict[str, list[Standing]]:
    table: dict[str, list[Standing]] = {}
    for row in _rows("participants.csv"):
        table.setdefault(row["code"], []).append(
            Standing(row["code"], row["name"], _day(row["from"]), _day(row["until"]), row["status"])
        )
    return table


@cache
def _territories() -> dict[str, frozenset[str]]:
    table: dict[str, set[str]] = {}
    for row in _rows("territories.csv"):
        table.setdefault(row["participant"], set()).add(row["country"])
    return {participant: frozenset(countries) for participant, countries in table.items()}


def _rows(name: str) -> list[dict[str, str]]:
    text = (resources.files("node.domain") / "data" / name).read_text("utf-8")
    return list(csv.DictReader(text.splitlines()))


def _day(text: str) -> date | None:
    return date.fromisoformat(text) if text else None
