"""A received line becomes a document or a list of findings, in the order of protocol section 6."""

import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, NamedTuple, TypeVar

from node.crew import Crew
from node.documents import Document, SignedDocument, UnverifiedJws
from node.domain import certificate
from node.domain.context import Context
from node.domain.judgement import PASSED, Judgement, judge_content, judge_with_ledger
from node.domain.kinds import ALERT, CERTIFICATE, KINDS, Kind
from node.errors import Finding, RefusedError, finding, refuse
from node.ids import EVERYONE, Authority, DocId, Kid
from node.jose.strict import parse
from node.jose.verify import KeyRing, verify
from node.schema.validation import check_document, formed

T = TypeVar("T", UnverifiedJws, SignedDocument)
R = TypeVar("R")

FAULTS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What a mistake in a rule raises; nothing that concerns machine, ledger or caller."""

LOT = 64
"""Lines judged in one go: some twenty milliseconds of work."""


class Verdict(NamedTuple):
    """What is known of a line before the ledger is asked.

    Attributes:
        parsed: Whether the line is a JWS at all; only then can it be a duplicate.
        document: The document, or None where a step up to the schema failed. Of a certificate of a
            bundle it has those members that are still asked for (`node.domain.certificate.kept`).
        content: What the rules without a ledger said.
    """

    raw: bytes
    parsed: bool
    document: Document | None
    content: Judgement = PASSED

    def findings(self, context: Context) -> tuple[Finding, ...]:
        """The final findings; none means accepted.

        Args:
            context: With the facts of the transaction that acts on them.
        """
        if self.document is None:
            return self.content.findings
        try:
            return judge_with_ledger(self.document, context, self.content).findings
        except FAULTS as fault:
            return (_not_judged(fault),)

    @property
    def signed(self) -> SignedDocument:
        """The document to be logged, where nothing speaks against it."""
        assert self.document is not None
        return self.document.signed

    @property
    def alone(self) -> bool:
        """Whether it may bear on any other document: an alert means numbers nobody can list."""
        return self.document is not None and self.document.kind == ALERT.name

    @property
    def number(self) -> str | None:
        """The number that a certificate takes."""
        if self.document is None or self.document.kind != CERTIFICATE.name:
            return None
        number: str = self.document.body["number"]
        return number

    @property
    def answered(self) -> str | None:
        """The doc id of the certificate, or whatever else, that the document answers."""
        return self.document.re[0] if self.document is not None and self.document.re else None

    def names(self) -> tuple[str, ...]:
        """The doc ids and the number that judging or recording it may touch."""
        if self.document is None:
            return ()
        doc_id, number = self.document.doc_id, self.number
        return (doc_id, *self.document.re) if number is None else (doc_id, number)


class Line(NamedTuple):
    """A line of a bundle without its end, and whether its document was accepted here before."""

    raw: bytes
    held: bool = False


_Told = tuple[bool, Judgement, tuple[DocId, bytes, str, Kid, Mapping[str, Any]] | None]
"""Whether a line was parsed, what the rules without a ledger said, and, of a document, doc id,
digest, type, key and payload. Its bytes are with who asked."""


@dataclass(frozen=True, slots=True)
class Judge:
    """Judges the lines of a stream as far as no ledger is needed.

    Attributes:
        own: The authority they should be addressed to.
        sandbox: Whether it lives in the sandbox.
        sender: Whose stream they stand in.
        ring: The sender's pinned keys.
        context: The circumstances.
    """

    own: Authority
    sandbox: bool
    sender: Authority
    ring: KeyRing
    context: Context

    def judge(self, lines: Sequence[Line]) -> list[Verdict]:
        """Judge lines, each on its own.

        All go through a step before any goes through the next: its code stays in the processor's
        cache, and many lines take a fifth less.

        A fault of this node refuses the line at which it comes, no other: quarantine is judged again
        when the node is started anew.

        Args:
            lines: As in a bundle.
        """
        try:
            return self._judge(lines)
        except FAULTS as fault:
            if len(lines) > 1:
                return [verdict for line in lines for verdict in self.judge([line])]
            return [Verdict(lines[0].raw, False, None, Judgement(0, (_not_judged(fault),)))]

    def _judge(self, lines: Sequence[Line]) -> list[Verdict]:
        parsed = [self._parse(line) for line in lines]
        signed = [_go_on(one, self._verify) for one in parsed]
        in_form = [_go_on(one, _form) for one in signed]
        return [one if isinstance(one, Verdict) else self._by_rules(one) for one in in_form]

    def _parse(self, line: Line) -> UnverifiedJws | Verdict:
        try:
            untrusted = parse(line.raw)
        except RefusedError as refusal:
            return Verdict(line.raw, False, None, Judgement(0, refusal.findings))
        # A duplicate is recognised before its type is looked at.
        return Verdict(line.raw, True, None) if line.held else untrusted

    def _verify(self, untrusted: UnverifiedJws) -> SignedDocument:
        kind = KINDS.get(untrusted.typ)
        if kind is None or not kind.travels:
            raise refuse("KP-J-005", f"{untrusted.typ!r:.80} may not stand in a bundle here")
        if untrusted.claimed_issuer != self.sender:
            detail = f"expected {self.sender}, who sent it, got {untrusted.claimed_issuer!r:.40}"
            raise refuse("KP-A-003", detail)
        if self.sender.startswith("X-") and not kind.outsiders:
            detail = f"{self.sender} belongs to no participant: no {kind.name}"
            raise refuse("KP-A-003", detail)
        signed = verify(untrusted, self.ring, kind.role)
        audience = signed.claims.get("aud")
        if not _addressed(audience, kind, self.own):
            raise refuse("KP-A-001", f"expected {self.own}, got {audience!r:.80}")
        if bool(signed.claims.get("sandbox")) != self.sandbox:
            detail = f"this node is {_world(self.sandbox)}, the document is not"
            raise refuse("KP-A-002", detail)
        return signed

    def _by_rules(self, document: Document) -> Verdict:
        content = judge_content(document, self.context)
        return Verdict(document.signed.raw, True, document, content)

    def told(self, lines: Sequence[Line]) -> list[_Told]:
        """As `judge`, with no more than is still asked for: what travels between processes."""
        return [_tell(verdict) for verdict in self.judge(lines)]

    def verdict(self, line: Line, told: _Told) -> Verdict:
        """What `told` says of a line."""
        parsed, content, part = told
        if part is None:
            return Verdict(line.raw, parsed, None, content)
        doc_id, digest, typ, kid, claims = part
        signed = SignedDocument(line.raw, doc_id, digest, typ, self.sender, kid, claims)
        return Verdict(line.raw, parsed, formed(signed, KINDS[typ].name), content)


class Verdicts:
    """The verdicts on the lines of a bundle, in order; each is waited for when it is asked for.

    Args:
        judge: Who judges them.
        crew: Who helps, where there are many.
        lines: Those of the bundle.
    """

    def __init__(self, judge: Judge, crew: Crew, lines: Sequence[Line]) -> None:
        self._judge = judge
        lots = [lines[at : at + LOT] for at in range(0, len(lines), LOT)]
        self._begun = iter([(lot, crew.start(judge.told, lot)) for lot in lots])
        self._known: list[Verdict] = []

    def __iter__(self) -> Iterator[Verdict]:
        at = 0
        while True:
            while at < len(self._known):
                yield self._known[at]
                at += 1
            begun = next(self._begun, None)
            if begun is None:
                return
            lot, wait = begun
            self._known += map(self._judge.verdict, lot, wait())


def _go_on(one: T | Verdict, step: Callable[[T], R]) -> R | Verdict:
    """A line that nothing spoke against so far goes through a step."""
    if isinstance(one, Verdict):
        return one
    try:
        return step(one)
    except RefusedError as refusal:
        return Verdict(one.raw, True, None, Judgement(0, refusal.findings))


def _not_judged(fault: Exception) -> Finding:
    """KP-J-007: one bad document never blocks a stream, not even where the fault is here."""
    where = traceback.extract_tb(fault.__traceback__)[-1]
    place = f"{PurePath(where.filename).name}:{where.lineno}"  # for who mends it; nothing of values
    return finding("KP-J-007", "", f"a fault of this node: {type(fault).__name__} at {place}")


def _form(signed: SignedDocument) -> Document:
    kind = KINDS[signed.typ]
    return check_document(signed, kind.name, kind.version)


def _tell(verdict: Verdict) -> _Told:
    document = verdict.document
    if document is None:
        return verdict.parsed, verdict.content, None
    signed, claims = document.signed, document.signed.claims
    if document.kind == CERTIFICATE.name:
        claims = {**claims, "body": certificate.kept(document.body)}
    part = (signed.doc_id, signed.digest, signed.typ, signed.kid, claims)
    return verdict.parsed, verdict.content, part


def _addressed(audience: Any, kind: Kind, own: Authority) -> bool:
    """Whether a document is for this authority; only alerts may be for all."""
    if kind is ALERT and audience == [EVERYONE]:
        return True
    return isinstance(audience, list) and own in audience


def _world(sandbox: bool) -> str:
    return "sandbox" if sandbox else "production"
