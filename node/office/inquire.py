"""Ask another authority about a certificate, and answer one that asks (Order 269 article 7 (2))."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from node.authority import OwnAuthority
from node.clock import days_after
from node.domain.facts import HeldCertificate, Inquiry
from node.domain.inquiry import is_destination
from node.domain.kinds import ANSWER, INQUIRY
from node.errors import NotFoundError, RefusedError, finding
from node.ids import participant_of
from node.ledger import certificates, inquiries, papers, register, sources
from node.ledger.database import Transaction
from node.office.officer import Officer, day_of
from node.office.saying import say

DAYS = 7
"""Until an answer is due, where the officer names no day. No rule of the scheme fixes one."""


@dataclass(frozen=True, slots=True)
class Sent:
    """An inquiry or answer that is signed, in the log and queued."""

    number: str
    doc_id: str
    to: str


def ask(
    own: OwnAuthority,
    number: str,
    officer: Officer,
    *,
    asks: str = "genuine",
    to: str | None = None,
    read: Mapping[str, Any] | None = None,
    paper: str | None = None,
    answer_by: str | None = None,
    reason: str | None = None,
    again: bool = False,
) -> Sent:
    """Ask a peer whether a certificate is genuine, has arrived, or where its goods came from.

    Args:
        own: Who asks.
        number: As on the paper.
        officer: In whose name.
        asks: ``genuine``, ``arrival`` or ``sources``.
        to: The peer; by default the other side of the certificate, or who issues such numbers.
        read: Values read from the paper, as in ``schemas/inquiry.v1.json``.
        paper: Base64url SHA-256 of its scan.
        answer_by: The day the answer is asked for; a week from today by default.
        reason: Why it is asked, in words.
        again: The same was asked before and has no answer.

    Raises:
        NotFoundError: No peer fits, or the one named is none.
        RefusedError: ``wrong-state`` (asked already), ``route-inconsistent``,
            ``dates-inconsistent`` or ``schema-invalid``.
        LogBehindError: Nothing may be signed.
    """
    now = own.clock.now()
    day = day_of(own, now)

    def write(tx: Transaction) -> Sent:
        held = certificates.by_number(tx, number)
        asked = to or _whom(tx, own, number, held.peer if held else None)
        if asked not in own.book.settings:
            raise NotFoundError(f"{asked} is no peer of this node; see kpnode peer list")
        open_ones = [
            one
            for one in inquiries.about(tx, number)
            if one.sent and one.asks == asks and one.peer == asked and one.answer is None
        ]
        if open_ones and not again:
            last = open_ones[-1]
            detail = f"{asked} was asked already and should answer by {last.answer_by}; ask again with --again"
            raise RefusedError([finding("KP-Q-007", "/number", detail)], number=number)
        body = {
            "number": number,
            "asks": asks,
            "read": read or None,
            "paper": paper,
            "send_document": True if asks == "genuine" and held is None else None,
            "answer_by": answer_by or days_after(day, DAYS).isoformat(),
            "reason": reason,
            "asked_by": officer.signs(own, day),
        }
        re = [open_ones[0].first] if open_ones else []
        doc_id = say(
            tx, own, INQUIRY, [asked], body, officer, verb="inquire", subject=number, now=now, re=re
        )
        return Sent(number, doc_id, asked)

    return own.ledger.write(write)


def _whom(tx: Transaction, own: OwnAuthority, number: str, peer: str | None) -> str:
    """The other side of the certificate, who is named on its paper, or who issues such numbers."""
    if peer is not None:
        return peer
    for paper in papers.without_document(tx):
        if paper.number == number:
            return paper.authority
    fitting = [name for name in own.book.settings if participant_of(name) == number[:2]]
    if len(fitting) != 1:
        found = ", ".join(fitting) or "none"
        raise NotFoundError(f"peers that issue {number[:2]} numbers: {found}; name one with --to")
    return fitting[0]


def answer(
    own: OwnAuthority,
    inquiry: str,
    officer: Officer,
    *,
    verdict: str,
    remarks: str | None = None,
) -> Sent:
    """Answer an inquiry of a peer.

    The certificate's destination also learns its state, which of the values read differ, and, if
    the verdict is ``disclosed``, the sources of a re-export. Others learn the verdict alone.

    Args:
        own: Who was asked.
        inquiry: Its doc id, or the number that one open inquiry is about.
        officer: Who answers.
        verdict: As `node.domain.inquiry.VERDICTS` has it for what was asked.
        remarks: In words.

    Raises:
        NotFoundError: There is no such inquiry to answer.
        RefusedError: ``wrong-state``, ``policy-refused`` or ``schema-invalid``.
        LogBehindError: Nothing may be signed.
    """

    def write(tx: Transaction) -> Sent:
        asked = _to_answer(tx, own, inquiry)
        return _answer(tx, own, asked, officer, verdict, remarks, automatic=False)

    return own.ledger.write(write)


def answer_destination(own: OwnAuthority, inquiry: str) -> Sent | None:
    """Answer by itself whether a certificate is genuine, if its destination asks.

    Its document is sent again if the asker says that it has none. To anyone else a person decides.
    """

    def write(tx: Transaction) -> Sent | None:
        asked = inquiries.fact(tx, inquiry, own.name)
        if asked is None or not due_to_destination(tx, own, asked):
            return None
        return _answer(tx, own, asked, Officer(), "genuine", None, automatic=True)

    return own.ledger.write(write)


def due_to_destination(tx: Transaction, own: OwnAuthority, asked: Inquiry) -> bool:
    """Whether an inquiry that waits here is one that is answered without an officer."""
    held = own.facts(tx).certificate(asked.number[:2], asked.number)
    return (
        asked.asked == own.name
        and asked.asks == "genuine"
        and held is not None
        and held.iss == own.name
        and is_destination(held, asked.asker)
        and not register.on(tx, asked.number)  # what is warned of is for a person to answer
    )


def _to_answer(tx: Transaction, own: OwnAuthority, name: str) -> Inquiry:
    found = inquiries.by_doc_id(tx, name)
    if found is None:
        waiting = [q for q in inquiries.about(tx, name) if not q.sent and q.answer is None]
        firsts = {q.first for q in waiting}
        if len(firsts) > 1:
            named = "; ".join(f"{q.doc_id} ({q.asks}, {q.peer})" for q in waiting)
            raise NotFoundError(f"{len(firsts)} inquiries about {name} wait; name one: {named}")
        found = waiting[-1] if waiting else None
    if found is None or found.sent:
        raise NotFoundError(f"no inquiry {name} waits for an answer; see kpnode work inquiries")
    asked = inquiries.fact(tx, found.doc_id, own.name)
    assert asked is not None
    return asked


def _answer(
    tx: Transaction, own: OwnAuthority, asked: Inquiry, officer: Officer, verdict: str,
    remarks: str | None, *, automatic: bool,
) -> Sent:  # fmt: skip
    now = own.clock.now()
    held = own.facts(tx).certificate(asked.number[:2], asked.number)
    body: dict[str, Any] = {
        "number": asked.number,
        "verdict": verdict,
        "automatic": True if automatic else None,
        "remarks": remarks,
        "answered_by": officer.signs(own, day_of(own, now)),
    }
    if verdict == "disclosed" and (held is None or held.iss != own.name):
        raise NotFoundError(f"{asked.number} was not issued here: there is nothing to disclose")
    if held is not None and held.iss == own.name:
        if verdict == "disclosed":
            body["disclosure"] = _disclosure(tx, held)
        if verdict == "genuine" and is_destination(held, asked.asker):
            body["state"] = held.state
            body["differs"] = _differing(asked.body.get("read", {}), held.figures) or None
            if asked.body.get("send_document"):
                own.send_again(tx, asked.asker, held.doc_id, now)
    doc_id = say(
        tx, own, ANSWER, [asked.asker], body, officer,
        verb="answer", subject=asked.number, now=now, re=[asked.doc_id],
    )  # fmt: skip
    return Sent(asked.number, doc_id, asked.asker)


def _disclosure(tx: Transaction, held: HeldCertificate) -> str:
    found = sources.disclosure(tx, held.number) if "sources" in held.body else None
    if found is None:
        raise NotFoundError(f"{held.number} is no re-export with sources on record here")
    return found


def _differing(read: Mapping[str, Any], figures: Mapping[str, Any]) -> list[str]:
    """Pointers to the values read from a paper that are not those of the certificate."""
    says: dict[str, Any] = {
        **{name: figures[name] for name in ("issued_on", "expires_on", "parcels")},
        "mining_origins": list(figures["mining_origins"]),
        **{role: figures[role]["name"] for role in ("exporter", "importer")},
        **{name: Decimal(figures["totals"][name]) for name in ("carats", "value_usd")},
    }
    amounts = ("carats", "value_usd")
    return sorted(
        f"/{name}"
        for name, value in read.items()
        if (Decimal(value) if name in amounts else value) != says[name]
    )
