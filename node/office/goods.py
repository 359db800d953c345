"""What happens to goods here: local records, signed and in the log, never sent."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

from node.authority import OwnAuthority
from node.clock import seconds
from node.domain import states
from node.domain.certificate import warnings
from node.domain.kinds import RECORD
from node.domain.states import IMPORTER
from node.errors import Finding, RefusedError, finding
from node.ids import participant_of
from node.ledger import acts, certificates, inquiries, papers, register, sources
from node.ledger.database import Transaction
from node.office.act import Circumstances, Done, Make, perform
from node.office.officer import Officer, day_of
from node.schema.validation import check_payload

RefuseIf = Callable[[Transaction, date], list[Finding]]
"""What is wrong with a record by the ledger, on this authority's date."""


def present_paper(
    own: OwnAuthority,
    number: str,
    officer: Officer,
    *,
    issuer: str,
    paper: str | None = None,
    issued_on: str | None = None,
) -> str:
    """Put on record that a certificate came on paper whose document is not here.

    When the document comes later, it is presented already. Returns the record's doc id.

    Args:
        own: The importing authority.
        number: As the paper says.
        officer: Who took it in.
        issuer: The authority that the paper names.
        paper: Base64url SHA-256 of its scan, if there is one.
        issued_on: Its day of issue as the paper says, ``YYYY-MM-DD``; it is judged by the rules of
            that day, or of today.

    Raises:
        RefusedError: ``wrong-state`` (presented before, or its document is here),
            ``not-a-participant``, ``number-pattern``, ``number-range``, ``embargoed``, ``alerted``,
            ``issued-in-future`` or ``schema-invalid``.
        LogBehindError: Nothing may be signed.
    """

    def refuse_if(tx: Transaction, day: date) -> list[Finding]:
        here = certificates.by_number(tx, number) or papers.by_number(tx, number)
        if here or sources.on_paper(tx, number):
            return [finding("KP-L-009", "/number", f"{number} is here already")]
        issued = date.fromisoformat(issued_on) if issued_on else day
        if not own.context(tx).has_begun(issued):
            return [finding("KP-C-009", "/issued_on", f"{issued} has not begun anywhere")]
        return from_abroad(tx, own, number, issuer, issued)

    details = {"from": issuer, "paper": paper, "issued_on": issued_on}
    return unattached(own, "presentation", number, officer, details, refuse_if)


def note_transit(
    own: OwnAuthority,
    number: str,
    officer: Officer,
    *,
    issuer: str,
    carrier: str,
    seals: Sequence[str],
) -> str:
    """Put goods in transit on record: unopened, attested by who carries them (Order 269 article 15).

    No confirmation follows, and no import. Returns the record's doc id.

    Raises:
        RefusedError: ``wrong-state`` (its document is here: it is no transit),
            ``not-a-participant``, ``number-pattern``, ``number-range``, ``embargoed``, ``alerted``
            or ``schema-invalid``.
        LogBehindError: Nothing may be signed.
    """

    def refuse_if(tx: Transaction, day: date) -> list[Finding]:
        if certificates.by_number(tx, number):
            detail = f"{number} is issued by or to this authority: no transit"
            return [finding("KP-L-009", "/number", detail)]
        return from_abroad(tx, own, number, issuer, day)

    containers = [{"seal": seal} for seal in seals]
    details = {"from": issuer, "carrier": carrier, "containers": containers}
    return unattached(own, "transit", number, officer, details, refuse_if)


def from_abroad(
    tx: Transaction, own: OwnAuthority, number: str, issuer: str, day: date
) -> list[Finding]:
    """What is wrong with a paper that names its issuer, by the rules of a day."""
    participant, known = participant_of(issuer) or "", own.reference(tx)
    if participant == participant_of(own.name):
        return [finding("KP-L-009", "/from", f"{issuer} is this authority's own participant")]
    standing, rules = known.standing(participant, day), known.profile(issuer, day)
    if standing is None:
        return [finding("KP-C-004", "/from", f"{participant} is no participant on {day}")]
    if not rules.fits(number):
        return [finding("KP-C-001", "/number", f"{number} has not the form of {issuer}")]
    if not rules.in_range(number):
        return [finding("KP-C-002", "/number", f"{number} is in no range of {issuer} on {day}")]
    if warned := list(warnings(register.on(tx, number))):
        return warned
    if standing.status == "suspended":
        return [finding("KP-C-016", "/from", f"{participant} is suspended {standing.span}")]
    return []


def not_cleared(tx: Transaction, number: str) -> list[Finding]:
    """KP-W-002, KP-W-007: nobody has looked at an alert on a paper, or its issuer disowns it."""
    if disowned := inquiries.disowned(tx, number):
        detail = f"{disowned.peer} has called {number} not genuine ({disowned.answer})"
        return [finding("KP-W-007", "/number", detail)]
    paper = papers.by_number(tx, number)
    looked_at = register.looked_at(tx, paper.doc_id) if paper else -1
    return [
        finding(
            "KP-W-002",
            "/number",
            f"{alert.iss} has flagged {alert.numbers}: {alert.subject}; present it on paper "
            "(kpnode present --from), hold, look, release",
        )
        for alert in register.on(tx, number)
        if alert.entry > looked_at
    ]


def unattached(
    own: OwnAuthority,
    act: str,
    number: str,
    officer: Officer,
    details: Mapping[str, Any],
    refuse_if: RefuseIf,
) -> str:
    """Put a record about goods whose certificate's document is not here into the log; its doc id."""
    now = own.clock.now()
    now_s, day = seconds(now), day_of(own, now)

    def write(tx: Transaction) -> str:
        own.checkpoints.guard(tx)
        told = {name: value for name, value in details.items() if value is not None}
        body = {"act": act, "number": number, **told, "by": officer.signs(own, day)}
        claims = own.claims([own.name], body, iat=now_s)
        if findings := check_payload("record.v1", claims) or refuse_if(tx, day):
            raise RefusedError(findings, number=number)
        signed = own.seal(RECORD, claims)
        own.log(tx, [signed], now_s)
        acts.note(tx, now_s, act, number, officer.office, officer.officer)
        return signed.doc_id

    return own.ledger.write(write)


def record(
    own: OwnAuthority, act: str, number: str, officer: Officer, details: Mapping[str, Any]
) -> Done:
    """Put a local act on record; held, released and seized is also what came on paper only.

    Args:
        own: Whose goods or certificate.
        act: ``sealing``, ``presentation``, ``inspection``, ``hold``, ``release``, ``seizure`` or
            ``laboratory-return``.
        number: The certificate.
        officer: Who acted.
        details: The act's own members, as in ``schemas/record.v1.json``.

    Raises:
        NotFoundError, RefusedError, LogBehindError: As `node.office.act.perform`.
    """
    if act in OF_A_PAPER and own.ledger.read(lambda tx: _paper_alone(tx, number)):
        return record_of_paper(own, act, number, officer, details)
    return perform(own, act, RECORD, [number], officer, making(act, details))[0]


OF_A_PAPER = ("hold", "release", "seizure")
"""What happens to goods whose certificate's document is not here."""


def _paper_alone(tx: Transaction, number: str) -> papers.Paper | None:
    return None if certificates.by_number(tx, number) else papers.by_number(tx, number)


def record_of_paper(
    own: OwnAuthority, act: str, number: str, officer: Officer, details: Mapping[str, Any]
) -> Done:
    """Put an act on goods on record whose certificate's document is not here.

    Raises:
        RefusedError: ``wrong-state``, or ``schema-invalid``.
        LogBehindError: Nothing may be signed.
    """

    def refuse_if(tx: Transaction, _: date) -> list[Finding]:
        paper, event = _paper_alone(tx, number), f"{RECORD.name}:{act}"
        if paper is None:
            return [finding("KP-L-009", "/number", f"{number} is no paper without document")]
        if states.transition(IMPORTER, paper.state, event) is None:
            detail = f"{number} is {paper.state}: no {event} now"
            return [finding(states.rule_of(IMPORTER, event) or "KP-L-009", "/number", detail)]
        return []

    def write(tx: Transaction) -> Done:
        doc_id = unattached(own, act, number, officer, details, refuse_if)
        after = papers.by_number(tx, number)
        assert after is not None
        return Done(number, doc_id, own.name, after.state)

    return own.ledger.write(write)


def making(act: str, details: Mapping[str, Any]) -> Make:
    """How the body of a local act's record is made; members that are None are left out."""

    def make(case: Circumstances) -> dict[str, Any]:
        told = {name: value for name, value in details.items() if value is not None}
        return {"act": act, **told, "by": case.by}

    return make
