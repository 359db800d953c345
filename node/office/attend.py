"""What a node sees to without an officer: the destination's inquiries, and goods that are flagged."""

from collections.abc import Sequence
from typing import Any

from node.authority import OwnAuthority
from node.domain.kinds import RECORD
from node.domain.states import HELD, HOLDABLE, IMPORTER, ON_PAPER, on_hold
from node.errors import LogBehindError, NotFoundError, RefusedError
from node.ledger import certificates, inquiries, life, papers, register
from node.ledger.database import Transaction
from node.office.act import Circumstances, certificates_of, perform_within
from node.office.goods import making, record_of_paper
from node.office.inquire import answer_destination, due_to_destination
from node.office.officer import Officer

AT_ONCE = 200
"""Goods held or released in one transaction; others may write between two."""


def attend(own: OwnAuthority) -> int:
    """Answer inquiries that need no decision, and hold goods whose certificate an alert means.

    Returns how many things were done. Doing it again does nothing more; where nothing may be
    signed, or someone was faster, it is left for the next time.
    """
    done = 0
    try:
        for doc_id in own.ledger.read(lambda tx: _due(tx, own)):
            done += answer_destination(own, doc_id) is not None
        while held := own.ledger.write(lambda tx: _hold(tx, own)):
            done += held
        done += own.ledger.write(lambda tx: _hold_papers(tx, own))
    except (LogBehindError, RefusedError):
        pass  # the operator is told elsewhere; what was decided meanwhile is looked at again
    return done


def wanted(tx: Transaction, own: OwnAuthority) -> bool:
    """Whether there is anything to attend to."""
    return bool(
        _due(tx, own)
        or register.unseen_in(tx, IMPORTER, HOLDABLE, 1)
        or register.unseen_on_paper(tx)
    )


def release_all(own: OwnAuthority, alert: str, officer: Officer, *, reason: str) -> list[str]:
    """Release all goods that are held here on account of an alert; returns their numbers.

    Args:
        own: Who holds them.
        alert: Its doc id.
        officer: Who has looked.
        reason: In words.

    Raises:
        NotFoundError: There is no such alert, or nothing is held for it.
        RefusedError, LogBehindError: As `node.office.act.perform`.
    """
    numbers, on_paper = own.ledger.read(lambda tx: _held_for(tx, alert))
    if not numbers and not on_paper:
        raise NotFoundError(f"no goods are held here on account of {alert}")
    make = making("release", {"reason": reason})

    def release(some: Sequence[str]) -> None:
        def act(tx: Transaction) -> None:
            held = certificates_of(tx, some)
            perform_within(tx, own, "release", RECORD, held, officer, make)

        own.ledger.write(act)

    for at in range(0, len(numbers), AT_ONCE):
        release(numbers[at : at + AT_ONCE])
    if on_paper:
        own.ledger.write(
            lambda _: [
                record_of_paper(own, "release", number, officer, {"reason": reason})
                for number in on_paper
            ]
        )
    return numbers + on_paper


def _held_for(tx: Transaction, alert: str) -> tuple[list[str], list[str]]:
    """The numbers that an alert means whose goods the node holds for alerts: held here, on paper."""
    found = register.by_doc_id(tx, alert)
    if found is None:
        raise NotFoundError(f"no alert {alert}; see kpnode alert list --all")
    meant = (certificates.by_doc_id(tx, doc_id) for doc_id in register.meant(tx, found))
    numbers = [
        one.number
        for one in meant
        if one is not None and one.state in HELD and _for_alerts(tx, one.number, one.doc_id)
    ]
    on_paper = [
        paper.number
        for paper in papers.without_document(tx)
        if paper.state == on_hold(ON_PAPER)
        and found.first <= paper.number <= found.last
        and len(paper.number) == len(found.first)
        and _for_alerts(tx, paper.number, None)
    ]
    return numbers, on_paper


def _for_alerts(tx: Transaction, number: str, certificate: str | None) -> bool:
    """Whether the last hold of goods, which may be from when only their paper was here, is for alerts."""
    paper = papers.by_number(tx, number)
    ids = [doc_id for doc_id in (paper and paper.doc_id, certificate) if doc_id]
    events = life.answers(tx, ids)
    holds = [e for doc_id in ids for e in events.get(doc_id, ()) if e.what == "record:hold"]
    return bool(holds) and "alerts" in holds[-1].body


def _because(tx: Transaction, number: str) -> dict[str, Any]:
    """Why goods are held that an alert means."""
    first, count = register.weightiest(tx, number)
    more = f"; {count - 1} more" if count > 1 else ""
    reason = f"alert of {first.iss}: {first.subject}, {first.reason}"
    return {"reason": f"{reason[:480].strip()}{more}", "alerts": [first.doc_id]}


def _due(tx: Transaction, own: OwnAuthority) -> list[str]:
    asked = (inquiries.fact(tx, q.doc_id, own.name) for q in inquiries.waiting(tx) if not q.sent)
    return [one.doc_id for one in asked if one and due_to_destination(tx, own, one)]


def _hold(tx: Transaction, own: OwnAuthority) -> int:
    """Hold some of the goods that an alert means which nobody has looked at, for all their alerts."""
    numbers = register.unseen_in(tx, IMPORTER, HOLDABLE, AT_ONCE)

    def make(case: Circumstances) -> dict[str, Any]:
        return {"act": "hold", **_because(tx, case.held.number), "by": case.by}

    held = certificates_of(tx, numbers)
    return len(perform_within(tx, own, "hold", RECORD, held, Officer(), make))


def _hold_papers(tx: Transaction, own: OwnAuthority) -> int:
    """The same for goods whose certificate's document is not here."""
    numbers = register.unseen_on_paper(tx)
    for number in numbers:
        record_of_paper(own, "hold", number, Officer(), _because(tx, number))
    return len(numbers)
