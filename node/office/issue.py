"""Issue certificates: check, number, sign, record, queue. All of a file or nothing."""

import hashlib
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any, TypeVar

from node import base64url, strict_json
from node.authority import OwnAuthority
from node.clock import seconds
from node.config import Policy
from node.documents import Draft
from node.domain.answering import within
from node.domain.context import Context
from node.domain.judgement import PASSED, judge_content, judge_with_ledger
from node.domain.kinds import CERTIFICATE, RECORD
from node.domain.runs import runs
from node.errors import Finding, RefusedError, RefusedShipmentsError, finding
from node.ids import Authority
from node.ledger import acts, drafts
from node.ledger.database import Transaction
from node.office.officer import Officer, day_of
from node.progress import EVERY, Progress, untold
from node.schema.validation import check

T = TypeVar("T")

MAX_INPUT_BYTES = 64 * 1024 * 1024
"""Some 30,000 shipments; more than a year of most authorities."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate that is signed, in the log and queued."""

    number: str
    doc_id: str
    to: str


def read_shipments(raw: bytes) -> list[Any]:
    """Shipments from JSON: one object, or an array of them.

    Raises:
        RefusedShipmentsError: ``not-json`` or ``too-large``.
    """
    if len(raw) > MAX_INPUT_BYTES:
        found = finding("KP-J-003", "", f"expected at most {MAX_INPUT_BYTES} bytes, got {len(raw)}")
        raise RefusedShipmentsError([RefusedError([found])])
    try:
        parsed = strict_json.loads(raw)
    except ValueError as error:
        raise RefusedShipmentsError([RefusedError([finding("KP-J-001", "", str(error))])]) from None
    return parsed if isinstance(parsed, list) else [parsed]


def issue(
    own: OwnAuthority, shipments: Sequence[Any], officer: Officer, progress: Progress = untold
) -> list[Issued]:
    """Issue a certificate for each shipment, in one transaction.

    Args:
        own: The issuing authority.
        shipments: As in ``schemas/shipment.v1.json``, unchecked.
        officer: Who issues.
        progress: Told while shipments are ``checking`` and then ``signing``.

    Returns:
        One a shipment, in order, durable and queued for their addressees.

    Raises:
        RefusedShipmentsError: At least one is refused; nothing was recorded.
        LogBehindError: Nothing may be signed.
    """
    own.fault("issue.commit")

    def write(tx: Transaction) -> list[Issued]:
        made, refused = _issue(tx, own, shipments, officer, progress)
        if refused:
            raise RefusedShipmentsError(refused)
        return made

    return own.ledger.write(write)


def issue_each(
    own: OwnAuthority, shipments: Sequence[Any], officer: Officer, progress: Progress = untold
) -> list[Issued | RefusedError]:
    """Issue a certificate for each shipment that is not refused, in one transaction.

    Arguments are those of `issue`.

    Returns:
        One result a shipment, in order; those issued are durable and queued.

    Raises:
        LogBehindError: Nothing may be signed.
    """
    made, refused = own.ledger.write(
        lambda tx: _issue(tx, own, shipments, officer, progress, each=True)
    )
    told: dict[int, Issued | RefusedError] = {refusal.index or 0: refusal for refusal in refused}
    left = iter(made)
    return [told.get(at) or next(left) for at in range(len(shipments))]


Record = Callable[[Transaction, Mapping[str, Any], Mapping[str, Any], int], str]
"""Puts one shipment on record instead of issuing it; given who acts, and the second."""


def reserve(
    own: OwnAuthority, shipments: Sequence[Any], officer: Officer, record: Record
) -> list[str]:
    """Check shipments as for issuing, and put each on record without issuing it.

    Raises:
        RefusedShipmentsError, LogBehindError: As `issue`.
    """

    def write(tx: Transaction) -> list[str]:
        context = _circumstances(tx, own)
        named = _named(own, officer, context)
        prepared, refusals = _prepare(own, shipments, named, context, untold)
        if refusals:
            raise RefusedShipmentsError(refusals)

        def unreserved(item: _Prepared) -> list[Finding]:
            held = drafts.by_number(tx, item.draft.body["number"])
            if held is None:
                return []
            detail = f"{held.number} is reserved by a draft that is {held.state}"
            return [finding("KP-N-001", "/number", detail)]

        def act(run: Sequence[_Prepared]) -> list[str]:
            return [record(tx, item.shipment, named.validated_by, named.iat) for item in run]

        reserved, refused = _each(tx, own, prepared, context, unreserved, act, untold)
        if refused:
            raise RefusedShipmentsError(refused)
        return reserved

    return own.ledger.write(write)


def _circumstances(tx: Transaction, own: OwnAuthority) -> Context:
    return replace(own.context(tx), issuing=True, today=day_of(own, own.clock.now()))


def _named(own: OwnAuthority, officer: Officer, context: Context) -> "_Named":
    by = officer.signs(own, context.today)
    return _Named(officer.signs(own), by, seconds(context.now))


@dataclass(frozen=True, slots=True)
class _Named:
    issued_by: Mapping[str, Any]
    validated_by: Mapping[str, Any]
    iat: int


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A shipment that passed everything that needs no ledger; `index` is its place among all."""

    index: int
    shipment: Mapping[str, Any]
    draft: Draft
    sources: Sequence[Mapping[str, Any]]
    disclosure: str

    def names(self) -> Iterator[str]:
        """The numbers whose certificates it bears on."""
        yield self.draft.body["number"]
        yield from (source["number"] for source in self.sources)


def _prepare(
    own: OwnAuthority,
    shipments: Sequence[Any],
    named: _Named,
    context: Context,
    progress: Progress,
) -> tuple[list[_Prepared], list[RefusedError]]:
    """Those shipments that may be issued, and the refusals."""
    prepared, refusals = [], []
    for start in range(0, len(shipments), EVERY):
        progress("checking", start, len(shipments))
        lot = list(enumerate(shipments[start : start + EVERY], start))
        # The form of all of them first: a step's code stays in the processor's cache.
        forms = [check("shipment.v1", shipment) or _ends(own, shipment) for _, shipment in lot]
        for (index, shipment), wrong in zip(lot, forms, strict=True):
            try:
                prepared.append(_prepare_one(own, index, shipment, wrong, named, context))
            except RefusedError as refusal:
                refusals.append(_placed(refusal.findings, index, shipment))
    progress("checking", len(shipments), len(shipments))
    return prepared, refusals


def _prepare_one(
    own: OwnAuthority,
    index: int,
    shipment: Any,
    wrong: Sequence[Finding],
    named: _Named,
    context: Context,
) -> _Prepared:
    if wrong:
        raise RefusedError(wrong)
    sources = shipment.get("source_certificates", ())
    disclosure = _disclose(sources) if sources else ""
    body = _body(own, shipment, named, context, disclosure)
    draft = Draft(CERTIFICATE.name, own.name, (Authority(shipment["to"]),), named.iat, body)
    findings = judge_content(draft, context).findings or _added_sources(shipment)
    if findings := findings or _implausible(own.config.policy, shipment):
        raise RefusedError(findings)
    return _Prepared(index, shipment, draft, sources, disclosure)


def _ends(own: OwnAuthority, shipment: Mapping[str, Any]) -> list[Finding]:
    """KP-A-005, KP-A-004: from this node to one of its peers."""
    if shipment.get("from", own.name) != own.name:
        return [finding("KP-A-005", "/from", f"expected {own.name}, got {shipment['from']}")]
    if shipment["to"] not in own.book.settings:
        known = ", ".join(own.book.settings) or "none yet; see kpnode peer add"
        detail = f"{shipment['to']} is no peer of this node (peers: {known})"
        return [finding("KP-A-004", "/to", detail)]
    return []


_MEMBERS = (
    "number", "participant", "statement", "issued_on", "expires_on", "issued_by", "validated_by",
    "mining_origins", "mixed_origin", "provenance", "destination", "exporter", "importer",
    "parcels", "lines", "totals", "containers", "consignment_kind", "transport", "sources",
    "evidence", "declaration",
)  # fmt: skip
"""Of a certificate's body, in the order it is written."""


def _body(
    own: OwnAuthority, shipment: Mapping[str, Any], named: _Named, context: Context, disclosure: str
) -> dict[str, Any]:
    """The certificate's body: what the shipment says and what profile and officer add."""
    assert context.today is not None
    issued_on = date.fromisoformat(shipment.get("issued_on", context.today.isoformat()))
    rules = context.reference.profile(own.name, issued_on)
    body = {
        **shipment,
        "participant": rules.participant,
        "statement": rules.statement,
        "issued_on": issued_on.isoformat(),
        "expires_on": shipment.get("expires_on") or rules.validity.last_day(issued_on).isoformat(),
        "issued_by": named.issued_by,
        "validated_by": named.validated_by,
        "mining_origins": sorted(shipment["mining_origins"]),
    }
    if disclosure:
        digest = base64url.encode(hashlib.sha256(disclosure.encode()).digest())
        body["sources"] = {"count": len(shipment["source_certificates"]), "digest": digest}
    return {name: body[name] for name in _MEMBERS if name in body}


def _disclose(sources: Sequence[Mapping[str, Any]]) -> str:
    """The sources with a random salt, as one text whose digest tells nothing of them."""
    salt = base64url.encode(secrets.token_bytes(32))
    return base64url.encode(strict_json.dumps({"salt": salt, "source_certificates": sources}))


def _implausible(policy: Policy, shipment: Mapping[str, Any]) -> list[Finding]:
    """KP-C-020: what a carat is worth, line by line."""
    least, most = policy.least_usd_per_carat, policy.most_usd_per_carat
    if least is None and most is None:
        return []
    found = []
    for at, line in enumerate(shipment["lines"]):
        carats, value = Decimal(line["carats"]), Decimal(line["value_usd"])
        if (least is not None and value < least * carats) or (
            most is not None and value > most * carats
        ):
            expected = f"US$ {least or 0} to {'any' if most is None else most} a carat"
            detail = f"expected {expected}, got {value} for {carats}"
            found.append(finding("KP-C-020", f"/lines/{at}/value_usd", detail))
    return found


def _added_sources(shipment: Mapping[str, Any]) -> list[Finding]:
    """KP-C-015: the sources' carats add up to the total."""
    sources = shipment.get("source_certificates", ())
    added = sum((Decimal(source["carats"]) for source in sources), Decimal(0))
    total = Decimal(shipment["totals"]["carats"])
    if not sources or added == total:
        return []
    detail = f"sources add up to {added}, the shipment has {total}"
    return [finding("KP-C-015", "/source_certificates", detail)]


def _issue(
    tx: Transaction,
    own: OwnAuthority,
    shipments: Sequence[Any],
    officer: Officer,
    progress: Progress,
    *,
    each: bool = False,
) -> tuple[list[Issued], list[RefusedError]]:
    """Issue all of the shipments, or `each` that is not refused; what came of it, and the refusals.

    Checked inside the transaction as well: callers at the same time do not get into each other's
    way, and what waits is committed together.
    """
    context = _circumstances(tx, own)
    prepared, refusals = _prepare(own, shipments, _named(own, officer, context), context, progress)
    if refusals and not each:
        return [], refusals
    drafted = drafts.among(tx, [item.draft.body["number"] for item in prepared])
    made, refused = _each(
        tx, own, prepared, context,
        lambda item: _of_draft(tx, own, item, officer, drafted),
        lambda run: _sign(tx, own, run, officer),
        progress,
        each=each,
    )  # fmt: skip
    return made, refusals + refused


def _each(
    tx: Transaction,
    own: OwnAuthority,
    prepared: Sequence[_Prepared],
    context: Context,
    check: Callable[[_Prepared], list[Finding]],
    act: Callable[[Sequence[_Prepared]], list[T]],
    progress: Progress,
    *,
    each: bool = False,
) -> tuple[list[T], list[RefusedError]]:
    """Act on shipments as far as the ledger, and `check`, allow it.

    Where some are refused, `each` says whether the others are done; else the caller undoes all.

    Returns:
        What came of those that were done, in order, and the refusals.
    """
    own.checkpoints.guard(tx)
    facts = own.facts(tx)
    with_facts = replace(context, facts=facts)
    done: list[T] = []
    refusals: list[RefusedError] = []
    for run in runs(prepared, _Prepared.names):
        facts.look_up(item.draft.body["number"] for item in run)
        good = []
        for item in run:
            findings = judge_with_ledger(item.draft, with_facts, PASSED).findings or (
                _exceeded(item.sources, with_facts) or check(item)
            )
            if findings:
                refusals.append(_placed(findings, item.index, item.draft.body))
            else:
                good.append(item)
        if good and (each or not refusals):
            done += act(good)
        progress("signing", len(done) + len(refusals), len(prepared))
    return done, refusals


def _of_draft(
    tx: Transaction, own: OwnAuthority, item: _Prepared, officer: Officer, drafted: Set[str]
) -> list[Finding]:
    """KP-N-001 to KP-N-003: a draft of this number is open, and another officer's where it must be."""
    number = item.draft.body["number"]
    held = drafts.by_number(tx, number) if number in drafted else None
    four_eyes = own.config.policy.four_eyes
    if held is None:
        detail = f"four eyes: {number} has no draft; see kpnode draft"
        return [finding("KP-N-003", "/number", detail)] if four_eyes else []
    if not held.open:
        return [finding("KP-N-001", "/number", f"the draft of {number} is {held.state}")]
    if held.shipment != item.shipment:
        return [finding("KP-N-001", "/number", f"{number} is reserved for another shipment")]
    if differing := _found_otherwise(own, held):
        return differing
    if four_eyes and (None in (held.officer, officer.officer) or _same(held, officer)):
        detail = f"four eyes: drafted by {held.officer or 'nobody named'}, issued by {officer.officer or 'nobody named'}"
        return [finding("KP-N-003", "/number", detail)]
    return []


def _found_otherwise(own: OwnAuthority, held: drafts.Draft) -> list[Finding]:
    """KP-N-004: where the inspection before export found something else than the shipment says."""
    policy, told = own.config.policy, held.shipment
    limits = policy.tolerance_carats, policy.tolerance_usd
    wrong = [
        (name, f"{name}: drafted {told.get(name)}, found {found}")
        for name, found in held.found.items()
        if name != "seals_intact" and not within(told.get(name), found, *limits)
    ]
    if not held.found.get("seals_intact", True):
        wrong.append(("seals_intact", "seals_intact: found broken"))
    then = "; inspect again, or withdraw and draft what is there"
    return [finding("KP-N-004", f"/{name}", detail + then) for name, detail in wrong]


def _same(held: drafts.Draft, officer: Officer) -> bool:
    """Whether two names are one officer's, however they are written."""
    one, other = (
        " ".join((name or "").casefold().split()) for name in (held.officer, officer.officer)
    )
    return one == other


def _exceeded(sources: Sequence[Mapping[str, Any]], context: Context) -> list[Finding]:
    """KP-C-019, KP-C-015: the sources came in here, and no more goes out of one than came in.

    KP-W-001, KP-W-007: nor has their own participant warned of one, or called it not genuine.
    """
    assert context.facts is not None
    found = []
    taken: dict[str, Decimal] = {}
    for at, source in enumerate(sources):
        number = source["number"]
        taken[number] = taken.get(number, Decimal(0)) + Decimal(source["carats"])
        came_in = context.facts.came_in(number)
        if came_in is None:
            detail = f"{number} was not admitted here: confirm it, or record its paper (kpnode source admit)"
            found.append(finding("KP-C-019", f"/source_certificates/{at}/number", detail))
            continue
        where = f"/source_certificates/{at}/number"
        for alert in context.facts.alerts_on(number):
            if alert.refuses:
                detail = (
                    f"{alert.iss} has alerted {alert.numbers}: {alert.subject} ({alert.doc_id})"
                )
                found.append(finding("KP-W-001", where, detail))
        if context.facts.disowned(number):
            found.append(finding("KP-W-007", where, f"its issuer has called {number} not genuine"))
        left = came_in - context.facts.re_exported(number)
        if taken[number] > left:
            detail = f"{left} of {came_in} carats of {number} are left, got {taken[number]}; kpnode source adjust"
            found.append(finding("KP-C-015", f"/source_certificates/{at}/carats", detail))
    return found


def _sign(
    tx: Transaction, own: OwnAuthority, run: Sequence[_Prepared], officer: Officer
) -> list[Issued]:
    at_s = run[0].draft.iat
    disclosed = [item for item in run if item.disclosure]
    own.log(tx, [own.sign(RECORD, [own.name], _use(item), iat=at_s) for item in disclosed], at_s)
    claims = [own.claims(item.draft.aud, item.draft.body, iat=at_s) for item in run]
    signed = [own.seal(CERTIFICATE, one) for one in claims]
    own.publish(tx, signed, at_s)
    numbers = [item.draft.body["number"] for item in run]
    acts.note_each(tx, at_s, "issue", numbers, officer.office, officer.officer)
    return [
        Issued(number, one.doc_id, item.draft.aud[0])
        for number, one, item in zip(numbers, signed, run, strict=True)
    ]


def _use(item: _Prepared) -> dict[str, Any]:
    """The record of what a re-export took from which certificates."""
    number = item.draft.body["number"]
    return {"act": "sources", "number": number, "disclosure": item.disclosure}


def _placed(findings: Sequence[Finding], index: int, shipment: Any) -> RefusedError:
    number = shipment.get("number") if isinstance(shipment, dict) else None
    return RefusedError(findings, index=index, number=number if isinstance(number, str) else None)
