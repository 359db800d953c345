"""What a rule needs to know beside the document: who judges, when, and what is held."""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from node.clock import CLOCK_GRACE_S, seconds
from node.domain.facts import Facts
from node.domain.reference import Reference, reference


@dataclass(frozen=True, slots=True)
class Context:
    """The circumstances of a judgement.

    Attributes:
        now: The moment, UTC.
        issuing: Whether this authority is about to sign the document.
        today: The issuing authority's own date; used only when issuing.
        facts: The ledger, inside a transaction; None for the steps that need none.
        reference: The dated facts; those of the package where none are handed in.
    """

    now: datetime
    issuing: bool = False
    today: date | None = None
    facts: Facts | None = None
    reference: Reference = field(default_factory=reference)
    _latest_day: date = field(init=False)
    _latest_s: int = field(init=False)

    def __post_init__(self) -> None:
        # Once, not for each document that is judged in these circumstances.
        object.__setattr__(self, "_latest_day", (self.now + timedelta(hours=14)).date())
        object.__setattr__(self, "_latest_s", seconds(self.now) + CLOCK_GRACE_S)

    def has_begun(self, day: date) -> bool:
        """Whether a day has begun anywhere on earth (UTC+14)."""
        return day <= self._latest_day

    def ahead_s(self, moment_s: int) -> int:
        """By how many seconds a moment lies ahead beyond the clock's grace; 0 if it does not."""
        return max(0, moment_s - self._latest_s)
