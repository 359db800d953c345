"""Issue certificates: check, number, sign, record, queue. All of a file or nothing."""

import hashlib
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, TypeVar

from node import base64url, strict_json
from node.authority import OwnAuthority
from node.clock import seconds
from node.documents import Draft
from node.domain.context import Context
from node.domain.judgement import PASSED, judge_content, judge_with_ledger
from node.domain.kinds import CERTIFICATE, RECORD
from node.domain.runs import runs
from node.errors import Finding, RefusedError, RefusedShipmentsError, finding
from node.ids import Authority
from node.ledger import acts, drafts
from node.ledger.database import Transaction
from node.office import issuable
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
        forms = [
            check("shipment.v1", shipment) or issuable.ends(own, shipment) for _, shipment in lot
        ]
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
    findings = judge_content(draft, context).findings or issuable.added_sources(shipment)
    if findings := findings or issuable.implausible(own.config.policy, shipment):
        raise RefusedError(findings)
    return _Prepared(index, shipment, draft, sources, disclosure)


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
        lambda item: issuable.of_draft(tx, own, item.shipment, officer, drafted),
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
                issuable.exceeded(item.sources, with_facts) or check(item)
            )
            if findings:
                refusals.append(_placed(findings, item.index, item.draft.body))
            else:
                good.append(item)
        if good and (each or not refusals):
            done += act(good)
        progress("signing", len(done) + len(refusals), len(prepared))
    return done, refusals


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
