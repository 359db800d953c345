"""Goods that go back, or to a laboratory: technical certificates (Order 269 articles 8, 12, 19)."""

from collections.abc import Mapping, Sequence
from typing import Any

from node.authority import OwnAuthority
from node.clock import days_after
from node.domain.answering import TECHNICAL_DAYS
from node.domain.kinds import RETURN, TECHNICAL_CERTIFICATE
from node.office.act import Circumstances, Done, perform
from node.office.officer import Officer


def order_return(
    own: OwnAuthority,
    number: str,
    officer: Officer,
    *,
    technical_number: str,
    reason: str,
    consultation: Mapping[str, Any],
    seals: Sequence[str] = (),
) -> Done:
    """Send goods back to the country of provenance with a technical certificate of sixty days.

    Args:
        own: The importing authority.
        number: The certificate the goods came with.
        officer: Who orders it.
        technical_number: The technical certificate's own number.
        reason: In words.
        consultation: With whom at the exporter, and when: ``with``, ``on``, ``reference``.
        seals: Of the containers.

    Raises:
        NotFoundError, RefusedError, LogBehindError: As `node.office.act.perform`.
    """
    more = {"consultation": consultation}
    return _technical(own, "return", number, officer, technical_number, reason, seals, more)


def send_to_laboratory(
    own: OwnAuthority,
    number: str,
    officer: Officer,
    *,
    technical_number: str,
    reason: str,
    consignee: str,
    seals: Sequence[str] = (),
) -> Done:
    """Send goods to a laboratory with a technical certificate (KP/2017/Plenary/AD5).

    Raises:
        NotFoundError, RefusedError, LogBehindError: As `node.office.act.perform`.
    """
    more = {"consignee": consignee}
    return _technical(own, "scientific", number, officer, technical_number, reason, seals, more)


def take_in(
    own: OwnAuthority, number: str, officer: Officer, *, received_on: str | None = None
) -> Done:
    """Take returned goods in: the technical certificate is surrendered, the certificate lapses.

    Raises:
        NotFoundError, RefusedError, LogBehindError: As `node.office.act.perform`.
    """

    def make(case: Circumstances) -> dict[str, Any]:
        _, technical = case.held.last.get("technical-certificate", ("", {}))
        return {
            "technical_number": technical.get("technical_number", "none"),
            "received_on": received_on or case.today.isoformat(),
            "taken_in_by": case.by,
        }

    return perform(own, "take-in", RETURN, [number], officer, make, ("technical-certificate",))[0]


def _technical(
    own: OwnAuthority,
    purpose: str,
    number: str,
    officer: Officer,
    technical_number: str,
    reason: str,
    seals: Sequence[str],
    more: Mapping[str, Any],
) -> Done:
    def make(case: Circumstances) -> dict[str, Any]:
        return {
            "technical_number": technical_number,
            "purpose": purpose,
            "issued_on": case.today.isoformat(),
            "expires_on": days_after(case.today, TECHNICAL_DAYS).isoformat(),
            "reason": reason,
            **more,
            "containers": [{"seal": seal} for seal in seals],
            "issued_by": case.by,
        }

    verb = "order-return" if purpose == "return" else "send-to-laboratory"
    return perform(own, verb, TECHNICAL_CERTIFICATE, [number], officer, make)[0]
