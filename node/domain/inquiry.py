"""Rules of inquiries and their answers (Order 269 article 7 (2))."""

import hashlib
from collections.abc import Iterator

from node import base64url
from node.documents import Content
from node.domain.context import Context
from node.domain.facts import HeldCertificate
from node.errors import Finding, finding
from node.ids import participant_of

VERDICTS = {
    "genuine": ("genuine", "not-genuine", "unknown"),
    "arrival": ("arrived", "not-arrived"),
    "sources": ("disclosed", "declined"),
}
"""What may be asked, and the answers to each."""

TO_DESTINATION_ONLY = ("differs", "state", "disclosure")
"""What an answer says only to the authority that the certificate is addressed to."""


def route(document: Content, context: Context) -> Iterator[Finding]:
    """KP-Q-001: who issued a number is asked about it; who should have the goods, of their arrival."""
    number, addressee = document.body["number"], document.aud[0]
    if document.body["asks"] == "arrival":
        if number[:2] != participant_of(document.iss):
            detail = f"expected a number of {document.iss}, which asks of its arrival, got {number}"
            yield finding("KP-Q-001", "/number", detail)
    elif participant_of(addressee) not in (number[:2], None):
        detail = f"expected a number of {addressee}, which is asked, got {number}"
        yield finding("KP-Q-001", "/number", detail)
    answer_by = document.body.get("answer_by")
    if context.issuing and context.today and answer_by and answer_by < context.today.isoformat():
        yield finding(
            "KP-Q-006", "/answer_by", f"expected {context.today} or later, got {answer_by}"
        )


def repeats(document: Content, context: Context) -> Iterator[Finding]:
    """KP-Q-002: what asks again names the first inquiry, of the same pair, number and kind."""
    assert context.facts is not None
    if not document.re:
        return
    first = context.facts.inquiry(document.re[0]) if len(document.re) == 1 else None
    told = (document.iss, document.aud[0], document.body["number"], document.body["asks"])
    if first is None or told != (first.asker, first.asked, first.number, first.asks):
        detail = f"no such inquiry of this pair is held as {', '.join(document.re)}"
        yield finding("KP-Q-002", "", detail)


def answers(document: Content, context: Context) -> Iterator[Finding]:
    """KP-Q-002 to KP-Q-005: to a question that was asked, of its kind, and no more than is due."""
    assert context.facts is not None
    asked = context.facts.inquiry(document.re[0]) if len(document.re) == 1 else None
    body = document.body
    ends = (document.iss, document.aud[0])
    if asked is None or ends != (asked.asked, asked.asker) or body["number"] != asked.number:
        detail = (
            f"no inquiry about {body['number']} of this pair is held as {', '.join(document.re)}"
        )
        yield finding("KP-Q-002", "", detail)
        return
    expected = VERDICTS[asked.asks]
    if body["verdict"] not in expected:
        detail = f"{asked.asks} was asked: expected {', '.join(expected)}, got {body['verdict']}"
        yield finding("KP-Q-003", "/verdict", detail)
    held = context.facts.certificate(asked.number[:2], asked.number)
    if context.issuing:
        for member in TO_DESTINATION_ONLY:
            if member in body and not is_destination(held, asked.asker):
                detail = f"{asked.asker} is not the destination of {asked.number}"
                yield finding("KP-Q-004", f"/{member}", detail)
    if "disclosure" in body and held is not None:
        shown = base64url.encode(hashlib.sha256(body["disclosure"].encode()).digest())
        if shown != held.body.get("sources", {}).get("digest"):
            detail = (
                f"the certificate has {held.body.get('sources', {}).get('digest')}, got {shown}"
            )
            yield finding("KP-Q-005", "/disclosure", detail)


def is_destination(held: HeldCertificate | None, asker: str) -> bool:
    """Whether a certificate that is held is addressed to who asks."""
    return held is not None and held.addressee == asker
