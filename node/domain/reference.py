"""The dated facts that rules go by: participants, territories, embargoes, zones and profiles.

They come with the package; an operator may replace a file by one in the home, and each authority
replaces what is said of its own certificates by a profile document, from the day that names on.
"""

import csv
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from node.domain import profiles
from node.domain.profiles import Profile
from node.errors import ConfigError
from node.ids import participant_of

T = TypeVar("T")

Texts = tuple[tuple[str, str], ...]
"""Names with texts: of files, by file name; of profile documents, by authority, newest first."""

FILES: dict[str, tuple[str, ...]] = {
    "participants.csv": ("code", "name", "from", "until", "status", "scope", "source"),
    "territories.csv": ("participant", "country", "note"),
    "embargoes.csv": ("origin", "from", "until", "source"),
    "zones.csv": ("participant", "zone", "from", "until", "approval_until", "source"),
}
"""What an operator may replace, and the columns of each."""

STATUSES = ("active", "suspended", "restricted")


@dataclass(frozen=True, slots=True)
class Span:
    """Days from a first to a last one, both included; None is open."""

    first: date | None
    last: date | None

    def covers(self, day: date) -> bool:
        """Whether the span has this day."""
        return (self.first is None or self.first <= day) and (self.last is None or day <= self.last)

    def __str__(self) -> str:
        return f"from {self.first or 'the beginning'} to {self.last or 'further notice'}"


@dataclass(frozen=True, slots=True)
class Standing:
    """A participant's status over a span of days: ``active``, ``suspended`` or ``restricted``."""

    code: str
    name: str
    span: Span
    status: str
    scope: str
    source: str


@dataclass(frozen=True, slots=True)
class Embargo:
    """Goods mined in a country that may not be traded over a span of days, wherever they are."""

    origin: str
    span: Span
    source: str


@dataclass(frozen=True, slots=True)
class Zone:
    """A zone of a restricted participant that exports are allowed from.

    Attributes:
        approval_until: The last day on which each shipment needs prior approval, or None.
    """

    participant: str
    name: str
    span: Span
    approval_until: date | None


class Reference:
    """Dated facts; made by `reference`. Equal sources give the same object, also in a worker."""

    def __init__(self, files: Texts, announced: Texts) -> None:
        self._sources = files, announced
        if unknown := [name for name, _ in files if name not in FILES]:
            detail = f"expected {', '.join(FILES)}; got {', '.join(unknown)}"
            raise ConfigError(detail, code="bad-reference")
        texts = {name: _packaged(name) for name in FILES} | dict(files)
        self.standings = _read(texts, "participants.csv", _standing)
        self.embargoes = _read(texts, "embargoes.csv", _embargo)
        self.zones = _read(texts, "zones.csv", _zone)
        territories = _read(texts, "territories.csv", lambda r: (r["participant"], r["country"]))
        self._territories = frozenset(territories)
        self._by_code: dict[str, list[Standing]] = {}
        for row in self.standings:
            self._by_code.setdefault(row.code, []).append(row)
        self._announced: dict[str, list[Mapping[str, Any]]] = {}
        for authority, body in announced:
            self._announced.setdefault(authority, []).append(json.loads(body))
        self.standing = lru_cache(maxsize=16384)(self._standing)
        self.profile = lru_cache(maxsize=4096)(self._profile)
        self.latest_expiry = lru_cache(maxsize=4096)(self._latest_expiry)
        self.embargo = lru_cache(maxsize=4096)(self._embargo)

    def __reduce__(self) -> tuple[Callable[..., "Reference"], tuple[Texts, Texts]]:
        return reference, self._sources

    def _standing(self, code: str, day: date) -> Standing | None:
        """A participant's standing on a day, or None if it was no participant."""
        return next((row for row in self._by_code.get(code, ()) if row.span.covers(day)), None)

    def participants_on(self, day: date) -> list[str]:
        """The codes of all participants on a day, in alphabetical order."""
        return sorted(code for code in self._by_code if self.standing(code, day) is not None)

    def name_of(self, code: str) -> str:
        """A participant's name, or the code itself."""
        rows = self._by_code.get(code)
        return rows[-1].name if rows else code

    def lies_within(self, country: str, participant: str) -> bool:
        """Whether a country belongs to a participant for the purposes of the scheme."""
        return country == participant or (participant, country) in self._territories

    def _embargo(self, origin: str, day: date) -> Embargo | None:
        """The embargo on goods mined in a country on a day, if there is one."""
        found = (one for one in self.embargoes if one.origin == origin and one.span.covers(day))
        return next(found, None)

    def zones_of(self, participant: str, day: date) -> list[Zone]:
        """The zones of a participant that exports are allowed from on a day."""
        return [
            zone for zone in self.zones if zone.participant == participant and zone.span.covers(day)
        ]

    def _profile(self, authority: str, day: date) -> Profile:
        """The rules of an authority on a day; before the first known ones of the package, those.

        Its own profile document counts first, then one of the authority that is named like its
        participant, then the package's data.
        """
        participant = participant_of(authority) or ""
        for name in dict.fromkeys((authority, participant)):
            if found := self.announced(name, day):
                return profiles.of_entry(participant, found, day, announced=True)
        entry = _entry("default", day) | _entry(participant, day)
        return profiles.of_entry(participant, entry, day, announced=participant in _profiles())

    def _latest_expiry(self, authority: str, issued_on: date) -> date:
        """The latest day of expiry that may be accepted of an authority's certificate."""
        return self.profile(authority, issued_on).longest(issued_on)

    def announced(self, authority: str, day: date) -> Mapping[str, Any] | None:
        """The body of the profile document that counts for an authority on a day, if one does."""
        dated = [b for b in self._announced.get(authority, ()) if b["from"] <= day.isoformat()]
        # The one that begins last; of several that begin on one day, the one published last.
        return max(dated, key=lambda body: body["from"], default=None) if dated else None


def reference(files: Texts = (), announced: Texts = ()) -> Reference:
    """The facts of the package, with what replaces them.

    Args:
        files: Texts in place of the package's, by name.
        announced: Bodies of profile documents as JSON, by authority, newest first.

    Raises:
        ConfigError: ``bad-reference``; names file, line and column.
    """
    return _of_sources(files, announced)


@lru_cache(maxsize=8)
def _of_sources(files: Texts, announced: Texts) -> Reference:
    return Reference(files, announced)


def same_participant_apart(one: str, other: str) -> bool:
    """Whether two authorities share a participant but run separate schemes (Mainland, Hong Kong)."""
    return participant_of(one) == participant_of(other) == "CN" and one != other


def _entry(name: str, day: date) -> dict[str, Any]:
    known = _profiles().get(name, [])
    dated = [e for e in known if date.fromisoformat(e["from"]) <= day]
    return (dated or known[:1] or [{}])[-1]


@lru_cache(maxsize=1)
def _profiles() -> dict[str, list[dict[str, Any]]]:
    data: dict[str, list[dict[str, Any]]] = json.loads(_packaged("profiles.json"))
    return data


@lru_cache(maxsize=8)
def _packaged(name: str) -> str:
    return (Path(__file__).parent / "data" / name).read_text("utf-8")


def _read(texts: Mapping[str, str], name: str, row: Callable[[Mapping[str, str]], T]) -> list[T]:
    """The rows of a table.

    Raises:
        ConfigError: ``bad-reference``.
    """
    reader = csv.DictReader(texts[name].splitlines(), strict=True)
    columns = FILES[name]
    try:
        if tuple(reader.fieldnames or ()) != columns:
            raise ValueError(f"expected the columns {','.join(columns)}")
        return [row(_whole(record, columns)) for record in reader]
    except (ValueError, csv.Error) as error:
        where = f"{name}, line {reader.line_num}"
        raise ConfigError(f"{where}: {error}", code="bad-reference") from None


def _whole(record: Mapping[Any, Any], columns: Iterable[str]) -> Mapping[str, str]:
    if None in record or None in record.values():
        raise ValueError(f"expected {len(tuple(columns))} columns")
    return record


def _standing(row: Mapping[str, str]) -> Standing:
    status = row["status"]
    if status not in STATUSES:
        raise ValueError(f"status: expected one of {', '.join(STATUSES)}, got {status!r}")
    return Standing(row["code"], row["name"], _span(row), status, row["scope"], row["source"])


def _embargo(row: Mapping[str, str]) -> Embargo:
    return Embargo(row["origin"], _span(row), row["source"])


def _zone(row: Mapping[str, str]) -> Zone:
    until = _day(row["approval_until"])
    return Zone(row["participant"], row["zone"], _span(row), until)


def _span(row: Mapping[str, str]) -> Span:
    return Span(_day(row["from"]), _day(row["until"]))


def _day(text: str) -> date | None:
    return date.fromisoformat(text) if text else None


def names(zones: Sequence[Zone]) -> str:
    """Zones by name, for people."""
    return ", ".join(zone.name for zone in zones) or "none"
