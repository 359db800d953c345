"""Ask the importers of certificates that are overdue whether the goods have arrived."""

from collections.abc import Iterable

from node.authority import OwnAuthority
from node.ledger import certificates, inquiries
from node.ledger.database import Transaction
from node.office.inquire import Sent, ask
from node.office.officer import Officer, day_of


def remind(own: OwnAuthority, numbers: Iterable[str], officer: Officer) -> list[Sent]:
    """Ask of the arrival of each, in one transaction.

    Left alone is who was asked and still has time, who has answered, and who is no peer any more.

    Raises:
        NotFoundError, RefusedError, LogBehindError: As `node.office.inquire.ask`.
    """

    def write(tx: Transaction) -> list[Sent]:
        today = day_of(own, own.clock.now()).isoformat()
        sent = []
        for number in numbers:
            asked = [q for q in inquiries.about(tx, number) if q.sent and q.asks == "arrival"]
            if asked and (asked[-1].answer is not None or today <= asked[-1].answer_by):
                continue
            held = certificates.by_number(tx, number)
            if held is None or held.peer not in own.book.settings:
                continue
            sent.append(ask(own, number, officer, asks="arrival", again=True))
        return sent

    return own.ledger.write(write)
