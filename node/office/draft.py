"""Drafts: reserve a number, inspect before export, withdraw, and issue what was drafted.

A number is reserved by the record that drafts it, in the transaction that checks that it is free;
whatever becomes of the draft, the number is never used for anything else (Order 269 article 11).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from node import base64url, strict_json
from node.authority import OwnAuthority
from node.clock import seconds
from node.domain.kinds import RECORD
from node.errors import Finding, NotFoundError, RefusedError, finding
from node.ledger import acts, drafts
from node.ledger.database import Transaction
from node.office.issue import Issued, issue, reserve
from node.office.officer import Officer, day_of
from node.schema.validation import check_payload


def draft(own: OwnAuthority, shipments: Sequence[Any], officer: Officer) -> list[str]:
    """Put shipments on record as drafts and reserve their numbers, all or nothing.

    Everything is checked that is checked when they are issued.

    Returns:
        The numbers.

    Raises:
        RefusedShipmentsError: At least one is refused; nothing was recorded.
        RefusedError: ``policy-refused``: four eyes, and no officer named.
        LogBehindError: Nothing may be signed.
    """

    def record(
        tx: Transaction, shipment: Mapping[str, Any], by: Mapping[str, Any], now_s: int
    ) -> str:
        number = str(shipment["number"])
        text = base64url.encode(strict_json.dumps(shipment))
        body = {"act": "draft", "number": number, "shipment": text, "by": by}
        own.log(tx, [own.sign(RECORD, [own.name], body, iat=now_s)], now_s)
        acts.note(tx, now_s, "draft", number, officer.office, officer.officer)
        return number

    if own.config.policy.four_eyes and officer.officer is None:
        detail = "four eyes: name the officer, else nobody can issue it"
        raise RefusedError([finding("KP-N-003", "", detail)])
    return reserve(own, shipments, officer, record)


def inspect_export(
    own: OwnAuthority, number: str, officer: Officer, *, found: Mapping[str, Any], place: str
) -> str:
    """Put the inspection of drafted goods on record, before they are issued a certificate.

    Raises:
        NotFoundError, RefusedError, LogBehindError: No open draft; or nothing may be signed.
    """
    details = {"found": found, "place": place}
    return _record(own, "export-inspection", number, officer, details)


def withdraw(own: OwnAuthority, number: str, officer: Officer, *, reason: str) -> str:
    """Refuse or give up a draft; its number is void from then on.

    Raises:
        NotFoundError, RefusedError, LogBehindError: No open draft; or nothing may be signed.
    """
    return _record(own, "withdrawal", number, officer, {"reason": reason})


def issue_draft(own: OwnAuthority, number: str, officer: Officer) -> Issued:
    """Issue what was drafted; where four eyes are the policy, by another officer.

    Raises:
        NotFoundError: No draft has this number.
        RefusedShipmentsError: ``wrong-state``, ``policy-refused``, or a rule that holds by now.
        LogBehindError: Nothing may be signed.
    """
    found = own.ledger.read(lambda tx: drafts.by_number(tx, number))
    if found is None:
        raise NotFoundError(f"no draft {number}; see kpnode draft list")
    return issue(own, [found.shipment], officer)[0]


def _record(
    own: OwnAuthority, act: str, number: str, officer: Officer, details: Mapping[str, Any]
) -> str:
    now = own.clock.now()
    now_s = seconds(now)

    def write(tx: Transaction) -> str:
        own.checkpoints.guard(tx)
        if wrong := _not_open(tx, number):
            raise RefusedError([wrong], number=number)
        body = {"act": act, "number": number, **details, "by": officer.signs(own, day_of(own, now))}
        claims = own.claims([own.name], body, iat=now_s)
        if findings := check_payload("record.v1", claims):
            raise RefusedError(findings, number=number)
        own.log(tx, [own.seal(RECORD, claims)], now_s)
        acts.note(tx, now_s, act, number, officer.office, officer.officer)
        return number

    return own.ledger.write(write)


def _not_open(tx: Transaction, number: str) -> Finding | None:
    held = drafts.by_number(tx, number)
    if held is None:
        raise NotFoundError(f"no draft {number}; see kpnode draft list")
    if not held.open:
        return finding("KP-N-002", "/number", f"the draft of {number} is {held.state}")
    return None
