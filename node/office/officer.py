"""Who acts: the office and officer named by the caller, in the authority's own time."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from node.authority import OwnAuthority
from node.errors import RefusedError
from node.schema.validation import check


@dataclass(frozen=True, slots=True)
class Officer:
    """An office and an officer, where the caller named them."""

    office: str | None = None
    officer: str | None = None

    def signs(self, own: OwnAuthority, on: date | None = None) -> dict[str, Any]:
        """The member ``issued_by``, ``validated_by`` or ``confirmed_by``.

        Raises:
            RefusedError: ``schema-invalid`` if a name breaks the text rules.
        """
        member = {"authority": own.name, "office": self.office, "officer": self.officer}
        named = {key: value for key, value in member.items() if value is not None}
        if findings := check("officer.v1", named):
            raise RefusedError(findings)
        return named | ({"on": on.isoformat()} if on else {})


def day_of(own: OwnAuthority, moment: datetime) -> date:
    """The date of a moment in the authority's time zone."""
    return moment.astimezone(own.config.node.timezone).date()
