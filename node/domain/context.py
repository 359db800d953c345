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

    def has_begun(self, day: date) -> bool:
        """Whether a day has begun anywhere on earth (UTC+14)."""
        return day <= (self.now + timedelta(hours=14)).date()

    def ahead_s(self, moment_s: int) -> int:
        """By how many seconds a moment lies ahead beyond the clock's grace; 0 if it does not."""
        return max(0, moment_s - seconds(self.now) - CLOCK_GRACE_S)
