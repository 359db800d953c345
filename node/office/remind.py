"""Ask the importers of certificates that are overdue whether the goods have arrived."""

from collections.abc import Iterable

from node.authority import OwnAuthority
from node.ledger import inquiries
from node.ledger.database import Transaction
from node.office.inquire import Sent, ask_within
from node.office.officer import Officer, day_of


def remind(own: OwnAuthority, numbers: Iterable[str], officer: Officer) -> list[Sent]:
    """Ask of the arrival of each, in one transaction; who was asked and still has time is left.

    Raises:
        NotFoundError, RefusedError, LogBehindError: As `node.office.inquire.ask`.
    """

    def write(tx: Transaction) -> list[Sent]:
        today = day_of(own, own.clock.now()).isoformat()
        sent = []
        for number in numbers:
            asked = [q for q in inquiries.about(tx, number) if q.sent and q.asks == "arrival"]
            if asked and asked[-1].answer is None and today <= asked[-1].answer_by:
                continue
            sent.append(ask_within(tx, own, number, officer, asks="arrival", again=True))
        return sent

    return own.ledger.write(write)
