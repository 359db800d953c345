"""Re-export accounting: what came in on paper, and why more or less of it may go out."""

from datetime import date
from decimal import Decimal

from node.authority import OwnAuthority
from node.clock import first_elsewhere
from node.domain.states import ON_PAPER
from node.errors import Finding, NotFoundError, finding
from node.ledger import certificates, papers, sources
from node.ledger.database import Transaction
from node.office.goods import from_abroad, not_cleared, unattached
from node.office.officer import Officer


def admit_paper(
    own: OwnAuthority,
    number: str,
    officer: Officer,
    *,
    issuer: str,
    carats: str,
    received_on: str,
    issued_on: str | None = None,
    value_usd: str | None = None,
) -> str:
    """Put on record that goods were admitted here with a certificate on paper only.

    A re-export may name it as its source from then on. Returns the record's doc id.

    Args:
        own: The importing authority.
        number: As the paper says.
        officer: Who records it.
        issuer: The authority that issued it.
        carats: That came in, e.g. ``"120.50"``.
        received_on: ``YYYY-MM-DD``.
        issued_on: Its day of issue; it is judged by the rules of that day, or of the arrival.
        value_usd: As on the paper.

    Raises:
        RefusedError: ``wrong-state`` (it is here already), ``not-a-participant``,
            ``number-pattern``, ``number-range``, ``embargoed``, ``alerted`` or ``schema-invalid``.
        LogBehindError: Nothing may be signed.
    """

    def refuse_if(tx: Transaction, today: date) -> list[Finding]:
        if certificates.by_number(tx, number) or sources.on_paper(tx, number):
            return [finding("KP-L-009", "/number", f"{number} is here already")]
        paper = papers.by_number(tx, number)
        if paper is not None and paper.state != ON_PAPER:
            return [finding("KP-L-009", "/number", f"{number} is {paper.state}: no admission now")]
        arrived = date.fromisoformat(received_on)
        if arrived > today:
            return [finding("KP-F-004", "/received_on", f"{received_on} has not begun here")]
        issued = date.fromisoformat(issued_on) if issued_on else arrived
        if issued_on and received_on < first_elsewhere(issued_on):
            detail = f"issued on {issued}, it cannot have arrived on {arrived}"
            return [finding("KP-F-004", "/received_on", detail)]
        return from_abroad(tx, own, number, issuer, issued) or not_cleared(tx, number)

    details = {
        "from": issuer, "carats": carats, "received_on": received_on, "issued_on": issued_on,
        "value_usd": value_usd,
    }  # fmt: skip
    return unattached(own, "admission", number, officer, details, refuse_if)


def adjust(
    own: OwnAuthority, number: str, officer: Officer, *, carats: str, change: str, reason: str
) -> str:
    """Say why more, or less, than came in with a certificate may go out again.

    Args:
        own: The authority that admitted its goods.
        number: The certificate.
        officer: Who decides.
        carats: By how much, more than zero.
        change: ``more`` or ``less`` (a processing loss, stones sold as polished).
        reason: In words.

    Raises:
        NotFoundError: No goods were admitted here with it.
        RefusedError: ``source-exceeded`` (that much has gone out already) or ``schema-invalid``.
        LogBehindError: Nothing may be signed.
    """

    def refuse_if(tx: Transaction, _: date) -> list[Finding]:
        came_in = certificates.came_in(tx, number)
        if came_in is None:
            raise NotFoundError(f"no goods were admitted here with {number}")
        left = came_in - sources.re_exported(tx, number)
        if change == "less" and Decimal(carats) > left:
            return [
                finding("KP-C-015", "/carats", f"{left} carats of {number} are left, got {carats}")
            ]
        return []

    details = {"carats": carats, "change": change, "reason": reason}
    return unattached(own, "adjustment", number, officer, details, refuse_if)
