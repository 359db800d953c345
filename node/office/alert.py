"""Warn other authorities: raise an alert, confirm, deny or withdraw one, say where it was seen."""

from collections.abc import Mapping, Sequence
from typing import Any

from node.authority import OwnAuthority
from node.domain.alert import RAISED
from node.domain.kinds import ALERT
from node.errors import NotFoundError
from node.ids import EVERYONE
from node.ledger import entries, register
from node.ledger.database import Transaction
from node.office.officer import Officer, day_of
from node.office.saying import say

Evidence = Sequence[Mapping[str, Any]]
"""As in the schema of alerts: kind, base64url SHA-256, and a reference if there is one."""


def raise_alert(
    own: OwnAuthority,
    officer: Officer,
    *,
    subject: str,
    first: str,
    last: str | None = None,
    reason: str,
    evidence: Evidence = (),
    to: Sequence[str] = (),
) -> str:
    """Warn of a number or a range of them; returns the alert's doc id.

    Args:
        own: Who warns.
        officer: In whose name.
        subject: One of `node.domain.alert.SUBJECTS`.
        first: The number, or the first of the range.
        last: The last of the range.
        reason: In words.
        evidence: Digests of pictures and papers.
        to: The peers to be told; all by default, those that come later included.

    Raises:
        NotFoundError: One of those named is no peer.
        RefusedError: ``number-range`` or ``schema-invalid``.
        LogBehindError: Nothing may be signed.
    """
    if strangers := sorted(set(to) - own.book.settings.keys()):
        raise NotFoundError(f"{', '.join(strangers)}: no peer of this node; see kpnode peer list")

    def write(tx: Transaction) -> str:
        now = own.clock.now()
        body = {
            "says": RAISED,
            "subject": subject,
            "numbers": {"first": first, "last": last or first},
            "reason": reason,
            "evidence": list(evidence) or None,
            "raised_by": officer.signs(own, day_of(own, now)),
        }
        return say(
            tx, own, ALERT, sorted(set(to)) or [EVERYONE], body, officer,
            verb="alert", subject=first, now=now,
        )  # fmt: skip

    return own.ledger.write(write)


def say_of(
    own: OwnAuthority,
    alert: str,
    says: str,
    officer: Officer,
    *,
    reason: str,
    evidence: Evidence = (),
) -> str:
    """Confirm, deny or withdraw an alert, or say that its number was seen; returns the doc id.

    It goes to whom the alert went to, and to who raised it.

    Raises:
        NotFoundError: There is no such alert.
        RefusedError: ``wrong-authority``, ``wrong-state`` or ``schema-invalid``.
        LogBehindError: Nothing may be signed.
    """

    def write(tx: Transaction) -> str:
        held, jws = register.by_doc_id(tx, alert), entries.document(tx, alert)
        if held is None or jws is None:
            raise NotFoundError(f"no alert {alert}; see kpnode alert list")
        told, now = entries.claims(jws), own.clock.now()
        known = {*own.book.settings, EVERYONE}
        aud = sorted(({*told["aud"], held.iss} - {own.name}) & known)
        body = {
            "says": says,
            "subject": held.subject,
            "numbers": {"first": held.first, "last": held.last},
            "reason": reason,
            "evidence": list(evidence) or None,
            "raised_by": officer.signs(own, day_of(own, now)),
        }
        return say(
            tx, own, ALERT, [EVERYONE] if EVERYONE in aud else aud, body, officer,
            verb=f"alert {says}", subject=held.first, now=now, re=[alert],
        )  # fmt: skip

    return own.ledger.write(write)
