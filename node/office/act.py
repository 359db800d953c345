"""What an officer does to a certificate: the one way every verb takes.

Find it, make the document, judge it, sign it, record it, queue it, note who did it: in one
transaction, or nothing at all.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache, partial
from itertools import islice, takewhile
from typing import Any

from node.authority import OwnAuthority
from node.clock import seconds
from node.documents import Draft
from node.domain.context import Context
from node.domain.facts import Facts, HeldCertificate
from node.domain.judgement import judge_content, judge_with_ledger
from node.domain.kinds import RECORD, Kind
from node.domain.runs import MOST, runs
from node.errors import Finding, NotFoundError, RefusedError
from node.ledger import acts, certificates
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
        lambda tx: perform_within(
            tx, own, verb, kind, certificates_of(tx, numbers), officer, make, names
        )
    )


def perform_within(
    tx: Transaction,
    own: OwnAuthority,
    verb: str,
    kind: Kind,
    held: Iterable[HeldCertificate],
    officer: Officer,
    make: Make,
    names: Sequence[str] = (),
) -> list[Done]:
    """`perform`, as a part of a transaction that does more, on certificates as they stand in it."""
    own.checkpoints.guard(tx)
    now = own.clock.now()
    facts = own.facts(tx)
    context = circumstances(own, tx, now, facts)
    put = own.log if kind is RECORD else own.publish
    day = day_of(own, now)
    signs = cache(partial(officer.signs, own, day))  # asked with the first document, once
    drafted = (
        _draft(own, kind, index, make, names, seconds(now), Circumstances(one, day, signs()))
        for index, one in enumerate(held)
    )
    done: list[Done] = []
    for run in runs(drafted, _Drafted.touches):
        facts.look_up(one.number for one in run)
        for one in run:
            facts.meet(one.held)
            wrong = check_payload(f"{kind.name}.v{kind.version}", one.claims)
            if findings := wrong or _judge(one.draft, context):
                raise RefusedError(findings, index=one.index, number=one.number)
        signed = [own.seal(kind, one.claims) for one in run]
        put(tx, signed, seconds(now))
        acts.note_each(
            tx, seconds(now), verb, [one.number for one in run], officer.office, officer.officer
        )
        after = certificates.states_of(tx, [one.held.doc_id for one in run])
        done += [
            Done(one.number, document.doc_id, one.draft.aud[0], after[one.held.doc_id])
            for one, document in zip(run, signed, strict=True)
        ]
    return done


def certificates_of(tx: Transaction, numbers: Iterable[str]) -> Iterator[HeldCertificate]:
    """The certificates of numbers, each once, read some ahead of whoever acts on them.

    An act on one changes no other.

    Raises:
        NotFoundError: No such certificate is here.
    """
    left = iter(dict.fromkeys(numbers))
    while lot := list(islice(left, MOST)):
        found = certificates.by_numbers(tx, lot)
        here = takewhile(found.__contains__, lot)
        held = certificates.all_held(tx, [found[number] for number in here])
        yield from held
        if len(held) < len(lot):
            raise NotFoundError(certificates.absent(tx, lot[len(held)]))


def circumstances(own: OwnAuthority, tx: Transaction, now: datetime, facts: Facts) -> Context:
    """In which this authority's own documents are judged, with the ledger."""
    return Context(
        now, issuing=True, today=day_of(own, now), facts=facts, reference=own.reference(tx)
    )


@dataclass(frozen=True, slots=True)
class _Drafted:
    """A document about a certificate, made but not judged."""

    index: int
    number: str
    held: HeldCertificate
    claims: dict[str, Any]
    draft: Draft

    def touches(self) -> Iterator[str]:
        """The ids and numbers that judging or recording it bears on."""
        yield from self.draft.re
        if "technical_number" in self.draft.body:
            yield self.draft.body["technical_number"]


def _draft(
    own: OwnAuthority,
    kind: Kind,
    index: int,
    make: Make,
    names: Sequence[str],
    iat: int,
    case: Circumstances,
) -> _Drafted:
    held = case.held
    body = {"number": held.number, **make(case)}
    to = own.name if kind is RECORD else held.peer
    re = (held.doc_id, *(held.last[name][0] for name in names if name in held.last))
    claims = own.claims([to], body, iat=iat, re=re)
    return _Drafted(
        index, held.number, held, claims, Draft(kind.name, own.name, (to,), iat, body, re)
    )


def _judge(draft: Draft, context: Context) -> Sequence[Finding]:
    return judge_with_ledger(draft, context, judge_content(draft, context)).findings
