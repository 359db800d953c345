"""A received line becomes a document or a list of findings, in the order of protocol section 6."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from node.crew import Crew, travels
from node.documents import Document, SignedDocument
from node.domain.context import Context
from node.domain.judgement import PASSED, Judgement, judge_content, judge_with_ledger
from node.domain.kinds import ALERT, CERTIFICATE, KINDS, Kind
from node.errors import Finding, RefusedError, refuse
from node.ids import EVERYONE, Authority
from node.jose.strict import parse
from node.jose.verify import KeyRing, verify
from node.schema.validation import check_document

LOT = 64
"""Lines judged in one go: some twenty milliseconds of work."""


@travels
@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of a line before the ledger is asked.

    Attributes:
        parsed: Whether the line is a JWS at all; only then can it be a duplicate.
        document: The document, or None where a step up to the schema failed.
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
        return judge_with_ledger(self.document, context, self.content).findings

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

    def names(self) -> Iterator[str]:
        """The doc ids and the number that judging or recording it may touch."""
        if self.document is not None:
            yield self.document.doc_id
            yield from self.document.re
            if self.number is not None:
                yield self.number


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

    def judge(self, raw: bytes, *, held: bool = False) -> Verdict:
        """Judge a line.

        Args:
            raw: The line without its end.
            held: Whether a document of this id was accepted from the sender before; a duplicate
                is recognised before its type is looked at.
        """
        parsed = False
        try:
            untrusted = parse(raw)
            parsed = True
            if held:
                return Verdict(raw, parsed, None)
            kind = KINDS.get(untrusted.typ)
            if kind is None or not kind.travels:
                raise refuse("KP-J-005", f"{untrusted.typ!r:.80} may not stand in a bundle here")
            if untrusted.claimed_issuer != self.sender:
                detail = (
                    f"expected {self.sender}, who sent it, got {untrusted.claimed_issuer!r:.40}"
                )
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
            document = check_document(signed, kind.name, kind.version)
        except RefusedError as refusal:
            return Verdict(raw, parsed, None, Judgement(0, refusal.findings))
        return Verdict(raw, parsed, document, judge_content(document, self.context))


class Verdicts:
    """The verdicts on the lines of a bundle, in order; each is waited for when it is asked for.

    Args:
        judge: Who judges them.
        crew: Who helps, where there are many.
        lines: Each with whether a document of its id was accepted before.
    """

    def __init__(self, judge: Judge, crew: Crew, lines: Sequence[tuple[bytes, bool]]) -> None:
        lots = [lines[at : at + LOT] for at in range(0, len(lines), LOT)]
        self._waits = iter([crew.start(partial(_judge_lot, judge), lot) for lot in lots])
        self._known: list[Verdict] = []

    def __iter__(self) -> Iterator[Verdict]:
        at = 0
        while True:
            while at < len(self._known):
                yield self._known[at]
                at += 1
            wait = next(self._waits, None)
            if wait is None:
                return
            self._known += wait()


def _judge_lot(judge: Judge, lines: Sequence[tuple[bytes, bool]]) -> list[Verdict]:
    return [judge.judge(raw, held=held) for raw, held in lines]


def _addressed(audience: Any, kind: Kind, own: Authority) -> bool:
    """Whether a document is for this authority; only alerts may be for all."""
    if kind is ALERT and audience == [EVERYONE]:
        return True
    return isinstance(audience, list) and own in audience


def _world(sandbox: bool) -> str:
    return "sandbox" if sandbox else "production"
