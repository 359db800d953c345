"""A received line becomes a document or a list of findings, in the order of protocol section 6."""

from dataclasses import dataclass, replace

from node.authority import OwnAuthority
from node.documents import Document
from node.domain.context import Context
from node.domain.judgement import PASSED, Judgement, judge_content, judge_with_ledger
from node.domain.kinds import KINDS
from node.errors import Finding, RefusedError, refuse
from node.ids import Authority
from node.jose.strict import parse
from node.jose.verify import verify
from node.ledger.certificates import LedgerFacts
from node.ledger.database import Transaction
from node.schema.validation import check_document


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

    def findings(self, tx: Transaction, context: Context) -> tuple[Finding, ...]:
        """The final findings, inside the transaction that acts on them; none means accepted."""
        if self.document is None:
            return self.content.findings
        with_facts = replace(context, facts=LedgerFacts(tx))
        return judge_with_ledger(self.document, with_facts, self.content).findings


def judge(
    own: OwnAuthority, sender: Authority, raw: bytes, context: Context, *, held: bool = False
) -> Verdict:
    """Judge a line of a bundle as far as no ledger is needed.

    Args:
        own: Who judges.
        sender: Whose stream the line stands in.
        raw: The line without its end.
        context: The circumstances.
        held: Whether a document of this id was accepted from the sender before; a duplicate is
            recognised before its type is looked at.
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
        if untrusted.claimed_issuer != sender:
            detail = f"expected {sender}, who sent it, got {untrusted.claimed_issuer!r:.40}"
            raise refuse("KP-A-003", detail)
        if sender.startswith("X-") and not kind.outsiders:
            raise refuse("KP-A-003", f"{sender} belongs to no participant: no {kind.name}")
        signed = verify(untrusted, own.book.ring, kind.role)
        audience = signed.claims.get("aud")
        if not isinstance(audience, list) or own.name not in audience:
            raise refuse("KP-A-001", f"expected {own.name}, got {audience!r:.80}")
        if bool(signed.claims.get("sandbox")) != own.sandbox:
            raise refuse("KP-A-002", f"this node is {_world(own.sandbox)}, the document is not")
        document = check_document(signed, kind.name, kind.version)
    except RefusedError as refusal:
        return Verdict(raw, parsed, None, Judgement(0, refusal.findings))
    return Verdict(raw, parsed, document, judge_content(document, context))


def _world(sandbox: bool) -> str:
    return "sandbox" if sandbox else "production"
