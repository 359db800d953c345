"""Verify what someone hands over: a document, a bundle, a receipt. Needs no network, and no ledger.

Authentic, valid, current and matching are four different answers and stay apart.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from node import bundle
from node.clock import first_elsewhere
from node.documents import MAX_DOCUMENT_BYTES, MAX_TRANSPORT_BYTES, Document
from node.domain.certificate import warnings
from node.domain.context import Context
from node.domain.facts import Alert
from node.domain.judgement import STEPS, judge_content
from node.domain.kinds import CERTIFICATE, KINDS, MANIFEST, RECEIPT
from node.domain.states import REVOKED
from node.errors import Finding, ProblemError, RefusedError, finding, refuse
from node.jose.strict import parse
from node.jose.verify import KeyRing, verify
from node.ledger import entries, register
from node.ledger.certificates import by_doc_id
from node.ledger.database import Transaction
from node.schema.validation import check_document

MAX_FILE_BYTES = bundle.MAX_BUNDLE_BYTES


@dataclass(frozen=True, slots=True)
class Standing:
    """What a ledger adds: still in force, whether goods and certificate agreed, who warns of it."""

    current: bool | None = None
    matches: bool | None = None
    alerts: tuple[Alert, ...] = ()


@dataclass(frozen=True, slots=True)
class Verification:
    """The four answers on one document; None is for what could not be judged.

    Attributes:
        doc_id, kind, issuer: As far as the bytes tell; ``""`` where they do not.
        authentic: Signed with the issuer's pinned key.
        valid: Schema, and the rules that need no ledger.
        document: What was verified, if it is authentic and has the right form.
    """

    doc_id: str
    kind: str
    issuer: str
    authentic: bool | None
    valid: bool | None
    standing: Standing
    findings: tuple[Finding, ...] = ()
    document: Document | None = None

    @property
    def good(self) -> bool:
        """Whether nothing is false."""
        answers = (self.authentic, self.valid, self.standing.current, self.standing.matches)
        return False not in answers and not self.findings

    def as_json(self) -> dict[str, Any]:
        """The answers for programs; None is for what could not be judged."""
        return {
            "doc_id": self.doc_id,
            "kind": self.kind,
            "issuer": self.issuer,
            "authentic": self.authentic,
            "valid": self.valid,
            "current": self.standing.current,
            "matches": self.standing.matches,
            "alerts": [
                {"doc_id": a.doc_id, "by": a.iss, "subject": a.subject, "standing": a.standing}
                for a in self.standing.alerts
            ],
            "errors": [{"pointer": "", **found.as_json()} for found in self.findings],
        }


_ADMITTED = ("confirmed", "confirmed as amended", "admitted", "admitted as amended")
_ENDED = (*REVOKED, "lapsed", "returned", "seized")
_DIFFERING = ("disputed", "contested", "return ordered", "returned", "lapsed")

Ask = Callable[[Document], Standing]
"""What the ledger at hand says of a document."""

Logged = Callable[[str], bool]


def verify_file(
    raw: bytes,
    ring: KeyRing,
    context: Context,
    ask: Ask | None = None,
    logged: Logged = lambda _: False,
) -> list[Verification]:
    """Verify a file: one document, or every line of a bundle.

    Args:
        raw: The file; one final newline is taken off, nothing else.
        ring: The key sets to trust.
        context: In which rules are judged.
        ask: Asks the ledger, where there is one.
        logged: Whether its log has a document already: a key revoked since does not undo that.
    """
    lines = raw.removesuffix(b"\n").split(b"\n", bundle.MAX_DOCUMENTS + 1)
    if len(lines) > bundle.MAX_DOCUMENTS + 1:
        found = finding("KP-B-001", "", f"more than {bundle.MAX_DOCUMENTS} documents")
        return [Verification("", "", "", False, None, Standing(), (found,))]
    results = [_verify(line, ring, context, ask, logged) for line in lines]
    if [result.kind for result in results] == [RECEIPT.name, MANIFEST.name]:
        return results  # a carried receipt, and the bridge to its checkpoint
    if len(lines) > 1 or results[0].kind == MANIFEST.name:
        results[0] = _with_lines(results[0], raw.partition(b"\n")[2])
    return results


def in_log(tx: Transaction, doc_id: str) -> bool:
    """Whether the log has a document."""
    return entries.by_doc_id(tx, doc_id) is not None


def ask_ledger(tx: Transaction, document: Document, at: date) -> Standing:
    """Whether a certificate was in force on a day and matched the goods; the alerts on its number.

    An expired one that was confirmed did its duty and counts as current; a revoked, returned or
    seized one does not. Goods in dispute do not match.
    """
    if document.kind != CERTIFICATE.name:
        return Standing()
    alerts = tuple(register.on(tx, document.body["number"]))
    held = by_doc_id(tx, document.doc_id)
    if held is None:
        return Standing(alerts=alerts)
    day, body = at.isoformat(), held.body
    admitted, differs = held.state in _ADMITTED, held.state in _DIFFERING
    current = first_elsewhere(body["issued_on"]) <= day and (admitted or day <= body["expires_on"])
    if held.state in _ENDED:
        current = False
    return Standing(current, True if admitted else False if differs else None, alerts)


def _verify(
    line: bytes, ring: KeyRing, context: Context, ask: Ask | None, logged: Logged
) -> Verification:
    doc_id = kind = issuer = ""
    authentic = False
    try:
        untrusted = parse(line, MAX_TRANSPORT_BYTES)
        doc_id, issuer = untrusted.doc_id, untrusted.claimed_issuer
        known = KINDS.get(untrusted.typ)
        if known is None:
            raise refuse("KP-J-005", f"{untrusted.typ!r:.80} is no kind this node knows")
        kind = known.name
        if known.role == "doc" and len(line) > MAX_DOCUMENT_BYTES:
            raise refuse("KP-J-003", f"expected at most {MAX_DOCUMENT_BYTES} bytes")
        signed = verify(untrusted, ring, known.role, already_logged=logged(doc_id))
        authentic = True
        document = check_document(signed, kind, known.version)
        findings = _rules(document, context)
    except RefusedError as refusal:
        valid = False if authentic else None
        return Verification(doc_id, kind, issuer, authentic, valid, Standing(), refusal.findings)
    standing = ask(document) if ask is not None else Standing()
    if not findings:
        findings = tuple(warnings(standing.alerts))
    return Verification(doc_id, kind, issuer, True, not findings, standing, findings, document)


def _rules(document: Document, context: Context) -> tuple[Finding, ...]:
    return judge_content(document, context).findings if document.kind in STEPS else ()


def _with_lines(first: Verification, rest: bytes) -> Verification:
    """Hold the lines of a bundle against its manifest."""
    if first.kind != MANIFEST.name:
        detail = "several lines, but the first is no manifest"
    elif first.document is None:
        return first
    else:
        try:
            bundle.check_against_manifest(first.document.body, bundle.split(rest), rest)
        except ProblemError as problem:
            detail = str(problem)
        else:
            return first
    found = (*first.findings, finding("KP-B-001", "", detail))
    return replace(first, valid=False, findings=found)
