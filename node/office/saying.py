"""A document to peers that answers no certificate here: judge, sign, record, queue, note who did it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from node.authority import OwnAuthority
from node.clock import seconds
from node.documents import Draft
from node.domain.judgement import judge_content, judge_with_ledger
from node.domain.kinds import Kind
from node.errors import RefusedError
from node.ids import Authority, DocId
from node.ledger import acts
from node.ledger.database import Transaction
from node.office.act import circumstances
from node.office.officer import Officer
from node.schema.validation import check_payload


def say(
    tx: Transaction,
    own: OwnAuthority,
    kind: Kind,
    aud: Sequence[str],
    body: Mapping[str, Any],
    officer: Officer,
    *,
    verb: str,
    subject: str,
    now: datetime,
    re: Sequence[str] = (),
) -> str:
    """Publish a document within a transaction; returns its doc id.

    Args:
        tx: The transaction.
        own: Who speaks.
        kind: What is signed.
        aud: The addressees.
        body: Of the kind.
        officer: In whose name.
        verb: For the audit trail.
        subject: For the audit trail: a number, an authority.
        now: The moment.
        re: The documents it answers.

    Raises:
        RefusedError: It breaks its schema or a rule; nothing was recorded.
        LogBehindError: Nothing may be signed.
    """
    own.checkpoints.guard(tx)
    told = {name: value for name, value in body.items() if value is not None}
    claims = own.claims(aud, told, iat=seconds(now), re=re)
    if wrong := check_payload(f"{kind.name}.v{kind.version}", claims):
        raise RefusedError(wrong)
    to = tuple(Authority(name) for name in claims["aud"])
    draft = Draft(kind.name, own.name, to, claims["iat"], told, tuple(map(DocId, re)))
    context = circumstances(own, tx, now, own.facts(tx))
    if findings := judge_with_ledger(draft, context, judge_content(draft, context)).findings:
        raise RefusedError(findings)
    signed = own.seal(kind, claims)
    own.publish(tx, [signed], claims["iat"])
    acts.note(tx, claims["iat"], verb, subject, officer.office, officer.officer)
    return signed.doc_id
