"""What a node sees to without an officer: the destination's inquiries, and goods that are flagged."""

from node.authority import OwnAuthority
from node.domain.facts import Alert
from node.domain.kinds import RECORD
from node.domain.states import HOLDABLE, IMPORTER
from node.errors import LogBehindError, RefusedError
from node.ledger import certificates, inquiries, register
from node.ledger.certificates import Certificate
from node.ledger.database import Transaction
from node.office.act import perform
from node.office.goods import making
from node.office.inquire import answer_destination, due_to_destination
from node.office.officer import Officer


def attend(own: OwnAuthority) -> int:
    """Answer inquiries that need no decision, and hold goods whose certificate an alert means.

    Returns how many things were done. Doing it again does nothing more; where nothing may be
    signed, or someone was faster, it is left for the next time.
    """
    waiting, flagged = own.ledger.read(lambda tx: (_due(tx, own), flagged_here(tx)))
    done = 0
    try:
        for doc_id in waiting:
            done += answer_destination(own, doc_id) is not None
        for certificate, alert in flagged:
            done += _hold(own, certificate.number, alert)
    except LogBehindError:
        pass  # the operator is told elsewhere
    return done


def _due(tx: Transaction, own: OwnAuthority) -> list[str]:
    asked = (inquiries.fact(tx, q.doc_id, own.name) for q in inquiries.waiting(tx) if not q.sent)
    return [one.doc_id for one in asked if one and due_to_destination(tx, own, one)]


def flagged_here(tx: Transaction) -> list[tuple[Certificate, Alert]]:
    """Goods that may be held, with the alert that nobody has looked at for them, by alert."""
    found: dict[str, tuple[Certificate, Alert]] = {}
    for alert in register.listed(tx, ended=False):
        for doc_id in register.meant(tx, alert):
            one = certificates.by_doc_id(tx, doc_id)
            if one is None or one.side != IMPORTER or one.state not in HOLDABLE:
                continue
            if alert.doc_id not in register.looked_at(tx, doc_id):
                found.setdefault(doc_id, (one, alert))
    return list(found.values())


def _hold(own: OwnAuthority, number: str, alert: Alert) -> bool:
    reason = f"alert of {alert.iss}: {alert.subject}, {alert.reason}"
    details = {"reason": reason[:500].strip(), "alert": alert.doc_id}
    try:
        perform(own, "hold", RECORD, [number], Officer(), making("hold", details))
    except RefusedError:
        return False  # the state has changed meanwhile
    return True
