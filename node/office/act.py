"""What an officer does to a certificate: the one way every verb takes.

Find it, make the document, judge it, sign it, record it, queue it, note who did it: in one
transaction, or nothing at all.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from node.authority import OwnAuthority
from node.clock import seconds
from node.documents import Draft
from node.domain.context import Context
from node.domain.facts import HeldCertificate
from node.domain.judgement import judge_content, judge_with_ledger
from node.domain.kinds import RECORD, Kind
from node.errors import Finding, NotFoundError, RefusedError
from node.ids import Authority
from node.ledger import acts, certificates
from node.ledger.certificates import LedgerFacts
from node.ledger.database import Transaction
from node.office.officer import Officer, day_of
from node.schema.validation import check_payload


@dataclass(frozen=True, slots=True)
class Done:
    """A document that is signed and in the log, and queued unless it is a local record.

    Attributes:
        number: The certificate's.
        doc_id: The document's.
        to: Whom it goes to; this authority itself for a record.
        state: The certificate's state on this side afterwards.
    """

    number: str
    doc_id: str
    to: str
    state: str


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a verb is told to make its document of.

    Attributes:
        held: The certificate, as it stands inside the transaction.
        today: This authority's date.
        by: Who acts, for the member that names him.
    """

    held: HeldCertificate
    today: date
    by: Mapping[str, Any]


Make = Callable[[Circumstances], dict[str, Any]]
"""The body of a document, without ``number``."""


def perform(
    own: OwnAuthority,
    verb: str,
    kind: Kind,
    numbers: Sequence[str],
    officer: Officer,
    make: Make,
    names: Sequence[str] = (),
) -> list[Done]:
    """Do the same to certificates, all or nothing.

    Args:
        own: Who acts.
        verb: For the audit trail.
        kind: What is signed.
        numbers: The certificates; one named twice counts once.
        officer: In whose name.
        make: Makes the body for each.
        names: Kinds whose newest document is named in ``re`` after the certificate.

    Raises:
        NotFoundError: No such certificate is here.
        RefusedError: ``wrong-state`` and others; nothing was recorded.
        LogBehindError: Nothing may be signed.
    """
    own.fault(f"{verb}.commit")
    return own.ledger.write(
        lambda tx: perform_within(tx, own, verb, kind, numbers, officer, make, names)
    )


def perform_within(
    tx: Transaction,
    own: OwnAuthority,
    verb: str,
    kind: Kind,
    numbers: Sequence[str],
    officer: Officer,
    make: Make,
    names: Sequence[str] = (),
) -> list[Done]:
    """`perform`, as a part of a transaction that does more."""
    now = own.clock.now()
    return [
        _one(tx, own, verb, kind, (index, number), officer, make, names, now)
        for index, number in enumerate(dict.fromkeys(numbers))
    ]


def _one(
    tx: Transaction,
    own: OwnAuthority,
    verb: str,
    kind: Kind,
    place: tuple[int, str],
    officer: Officer,
    make: Make,
    names: Sequence[str],
    now: datetime,
) -> Done:
    index, number = place
    own.checkpoints.guard(tx)
    certificate = certificates.by_number(tx, number)
    if certificate is None:
        raise NotFoundError(certificates.absent(tx, number))
    day = day_of(own, now)
    held = certificates.held(tx, certificate)
    body = {"number": number, **make(Circumstances(held, day, officer.signs(own, day)))}
    to = own.name if kind is RECORD else Authority(certificate.peer)
    named = [held.last[name][0] for name in names if name in held.last]
    re = (held.doc_id, *named)
    claims = own.claims([to], body, iat=seconds(now), re=re)
    draft = Draft(kind.name, own.name, (to,), claims["iat"], body, re)
    context = Context(now, issuing=True, today=day)
    findings = check_payload(f"{kind.name}.v{kind.version}", claims) or _judge(tx, draft, context)
    if findings:
        raise RefusedError(findings, index=index, number=number)
    signed = own.seal(kind, claims)
    put = own.log if kind is RECORD else own.publish
    put(tx, [signed], draft.iat)
    acts.note(tx, draft.iat, verb, number, officer.office, officer.officer)
    after = certificates.by_doc_id(tx, held.doc_id)
    assert after is not None
    return Done(number, signed.doc_id, to, after.state)


def _judge(tx: Transaction, draft: Draft, context: Context) -> Sequence[Finding]:
    before = judge_content(draft, context)
    return judge_with_ledger(draft, replace(context, facts=LedgerFacts(tx)), before).findings
