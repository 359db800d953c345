"""The log folded into read models: certificates and their lives, drafts, papers, re-exports.

Everything follows from the log: `enter` is called for documents in the order of their entries, and
`node.ledger.rebuild` does the same from the start.
"""

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any, NamedTuple

from node.domain import states
from node.domain.kinds import ALERT, ANSWER, CERTIFICATE, INQUIRY, PROFILE, RECORD
from node.domain.states import EXPORTER, IMPORTER
from node.ids import participant_of
from node.ledger import drafts, inquiries, papers, parties, profiles, register, seals, sources
from node.ledger.certificates import ENTRIES_OF
from node.ledger.database import Transaction, each


class Logged(NamedTuple):
    """A document that has just entered the log: its kind, doc id, payload and index."""

    kind: str
    doc_id: str
    claims: Mapping[str, Any]
    entry: int


def enter(tx: Transaction, logged: Iterable[Logged], own: str) -> None:
    """Bring the read models up to documents, in the order of their entries.

    Args:
        tx: The transaction of the entries.
        logged: The documents.
        own: This node's authority.
    """
    for what, group in groupby(logged, _what):
        if what == CERTIFICATE.name:
            _enter_certificates(tx, list(group), own)
        elif what == _ANSWERS:
            _enter_answers(tx, list(group))
        else:
            for one in group:
                _enter(tx, one, own)


def _enter_certificates(tx: Transaction, logged: list[Logged], own: str) -> None:
    numbers = [one.claims["body"]["number"] for one in logged]
    issued = [n for n, one in zip(numbers, logged, strict=True) if one.claims["iss"] == own]
    from_abroad = set(numbers) - set(issued)
    before: dict[str, str] = {}
    if from_abroad:
        admitted = sources.admitted_on_paper(tx, from_abroad)
        before = dict.fromkeys(admitted, states.ADMITTED_ON_PAPER)
        on_paper = papers.among(tx, from_abroad)
        before |= {number: paper.state for number, paper in on_paper.items()}
        for number, one in zip(numbers, logged, strict=True):
            if number in on_paper:
                register.looked_at_too(tx, one.doc_id, on_paper[number].doc_id)
    drafts.issued(tx, issued)
    known = parties.enter(
        tx, [one.claims["body"][role]["name"] for one in logged for role in (EXPORTER, IMPORTER)]
    )
    rows = []
    for number, one in zip(numbers, logged, strict=True):
        body = one.claims["body"]
        exporter, importer = known[body["exporter"]["name"]], known[body["importer"]["name"]]
        iss, aud = one.claims["iss"], one.claims["aud"][0]
        side, peer = (EXPORTER, aud) if iss == own else (IMPORTER, iss)
        paper = before.get(number)
        state = states.FIRST[side] if paper is None else states.of_document(paper)
        rows.append(
            (participant_of(iss), number, one.doc_id, side, peer, state, one.entry, exporter,
             importer, body["issued_on"], body["expires_on"])
        )  # fmt: skip
    tx.executemany(
        "INSERT INTO certificates (participant, number, doc_id, side, peer, state, entry, "
        "exporter, importer, issued_on, expires_on) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        rows,
    )
    seals.enter(tx, [(one.entry, one.claims["body"]) for one in logged])


def _enter_answers(tx: Transaction, logged: list[Logged]) -> None:
    """Move certificates on by what answers them."""
    rows = tx.execute(
        f"SELECT doc_id, entry, side, state FROM certificates WHERE entry IN {ENTRIES_OF}",
        (each(one.claims["re"][0] for one in logged),),
    )
    now = {doc_id: (entry, side, state) for doc_id, entry, side, state in rows}
    life, seen = [], []
    for one in logged:
        certificate, body = one.claims["re"][0], one.claims["body"]
        event = states.event_of(one.kind, body)
        assert certificate in now, f"{event} answers {certificate}, which rules have found"
        entry, side, state = now[certificate]
        change = states.transition(side, state, event)
        assert change is not None, f"rules allow {event} in {state}"
        now[certificate] = (entry, side, change.target or state)
        life.append((certificate, one.entry, event, one.doc_id, change.target or ""))
        seen.append((entry, body))
        if "alerts" in body:
            register.look_at(tx, certificate, one.entry)
    tx.executemany(
        "UPDATE certificates SET state = ? WHERE entry = ?",
        [(state, entry) for entry, _, state in now.values()],
    )
    tx.executemany(
        "INSERT INTO life (certificate, idx, event, doc_id, state) VALUES (?, ?, ?, ?, ?)", life
    )
    seals.enter(tx, seen)


def _enter(tx: Transaction, logged: Logged, own: str) -> None:
    kind, doc_id, claims, entry = logged
    if kind in _OF_THEIR_OWN:
        _OF_THEIR_OWN[kind](tx, doc_id, claims, entry, own)
    elif kind == RECORD.name:
        body = claims["body"]
        sources.enter(tx, doc_id, body)
        if not drafts.enter(tx, doc_id, body):
            papers.enter(tx, doc_id, body, entry)


_OF_THEIR_OWN = {
    INQUIRY.name: inquiries.ask,
    ANSWER.name: inquiries.answer,
    ALERT.name: register.enter,
    PROFILE.name: profiles.enter,
}
"""Kinds that are about no certificate that must be here; each has its own read model."""

_ANSWERS = "answers"


def _what(logged: Logged) -> str:
    """What can be entered together."""
    about_one = logged.kind not in _OF_THEIR_OWN and logged.claims.get("re")
    return _ANSWERS if about_one else logged.kind


def forget(tx: Transaction) -> None:
    """Before the log is folded again."""
    for table in ("life", "certificates", "parties", "seals"):
        tx.execute(f"DELETE FROM {table}")
    for model in (sources, inquiries, register, profiles):
        model.forget(tx)
