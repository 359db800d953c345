"""Announce to peers what this authority's certificates look like (KPCS section II (d))."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from node.authority import OwnAuthority
from node.domain.kinds import PROFILE
from node.errors import NotFoundError, RefusedError
from node.ids import participant_of
from node.ledger import profiles
from node.ledger.database import Transaction
from node.office.officer import Officer, day_of
from node.office.saying import say
from node.schema.validation import check


@dataclass(frozen=True, slots=True)
class Published:
    """A profile that is on its way: from which day it counts, and to whom it went now."""

    begins: str
    to: tuple[str, ...]


def publish(own: OwnAuthority, profile: Mapping[str, Any] | None, officer: Officer) -> Published:
    """Send a profile to every peer, each its own document; or the last one to those without it.

    It counts here from its day on, too: numbers, validity and statement of what is issued.

    Args:
        own: Who announces.
        profile: As in ``schemas/announcement.v1.json``; None for the one published last.
        officer: In whose name.

    Raises:
        NotFoundError: There is none yet, or no peer to send it to.
        RefusedError: ``schema-invalid``, ``number-pattern`` or ``dates-inconsistent``.
        LogBehindError: Nothing may be signed.
    """
    if profile is not None and (findings := check("announcement.v1", profile)):
        raise RefusedError(findings)
    if not own.book.settings:
        raise NotFoundError("no peers yet to tell; see kpnode peer add")

    def write(tx: Transaction) -> Published:
        now = own.clock.now()
        if profile is not None:
            by = officer.signs(own, day_of(own, now))
            body = {"participant": participant_of(own.name), **profile, "published_by": by}
            told: set[str] = set()
        else:
            body, told = _newest(tx, own)
        to = [name for name in own.book.settings if name not in told]
        for name in to:
            say(
                tx, own, PROFILE, [name], body, officer,
                verb="profile publish", subject=name, now=now,
            )  # fmt: skip
        return Published(body["from"], tuple(to))

    return own.ledger.write(write)


def _newest(tx: Transaction, own: OwnAuthority) -> tuple[dict[str, Any], set[str]]:
    mine = [one for one in profiles.listed(tx) if one.authority == own.name]
    if not mine:
        raise NotFoundError("no profile was published yet: kpnode profile publish FILE")
    body: dict[str, Any] = json.loads(mine[-1].body)
    return body, profiles.addressees(tx, own.name, mine[-1].body)
