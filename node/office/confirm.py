"""Confirm the arrival of goods to the exporting authority (KPCS section III (b))."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from node.authority import OwnAuthority
from node.clock import seconds
from node.documents import Draft
from node.domain.confirmation import FIGURES
from node.domain.context import Context
from node.domain.judgement import judge_content, judge_with_ledger
from node.domain.kinds import CONFIRMATION
from node.domain.states import IMPORTER
from node.errors import NotFoundError, RefusedError
from node.ids import Authority, DocId
from node.ledger import acts, certificates
from node.ledger.certificates import LedgerFacts
from node.ledger.database import Transaction
from node.office.officer import Officer, today
from node.schema.validation import check


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A confirmation that is signed, in the log and queued."""

    number: str
    doc_id: str
    to: str


def confirm(
    own: OwnAuthority,
    numbers: Sequence[str],
    officer: Officer,
    *,
    received_on: str | None = None,
    inspection: Mapping[str, Any] | None = None,
) -> list[Confirmed]:
    """Confirm that the goods of certificates arrived as issued, all or nothing.

    Args:
        own: The importing authority.
        numbers: Certificates addressed to it.
        officer: Who confirms.
        received_on: ``YYYY-MM-DD``; today by default.
        inspection: As in ``schemas/inspection.v1.json``; what it leaves out was found as the
            certificate says. Figures that differ are refused: that is a discrepancy.

    Raises:
        NotFoundError: No certificate of this number came here.
        RefusedError: ``schema-invalid``, ``wrong-state``, ``dates-inconsistent`` and others.
        LogBehindError: Nothing may be signed.
    """
    found = dict(inspection or {}) | ({"received_on": received_on} if received_on else {})
    if findings := check("inspection.v1", found):
        raise RefusedError(findings)
    own.fault("confirm.commit")
    return own.ledger.write(
        lambda tx: [_confirm(tx, own, number, officer, found) for number in numbers]
    )


def _confirm(
    tx: Transaction, own: OwnAuthority, number: str, officer: Officer, found: Mapping[str, Any]
) -> Confirmed:
    own.checkpoints.guard(tx)
    certificate = certificates.by_number(tx, number)
    if certificate is None or certificate.side != IMPORTER:
        raise NotFoundError(f"no certificate {number} has come here; see kpnode certificate list")
    now, day = own.clock.now(), today(own)
    body = {
        "number": number,
        **{name: found.get(name, certificate.body[name]) for name in FIGURES},
        "received_on": found.get("received_on", day.isoformat()),
        "result": "as-issued",
        "seals_intact": found.get("seals_intact", True),
        "confirmed_by": officer.signs(own, day),
    }
    draft = Draft(
        CONFIRMATION.name, own.name, (Authority(certificate.peer),), seconds(now), body,
        (DocId(certificate.doc_id),),
    )  # fmt: skip
    context = Context(now, issuing=True, today=day)
    judgement = judge_content(draft, context)
    judgement = judge_with_ledger(draft, replace(context, facts=LedgerFacts(tx)), judgement)
    if judgement.findings:
        raise RefusedError(judgement.findings, number=number)
    signed = own.sign(CONFIRMATION, draft.aud, body, iat=draft.iat, re=draft.re)
    own.publish(tx, signed, CONFIRMATION.name, draft.iat)
    acts.note(tx, draft.iat, "confirm", number, officer.office, officer.officer)
    return Confirmed(number, signed.doc_id, certificate.peer)
