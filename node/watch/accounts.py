"""The account of a certificate whose goods came in: what may be re-exported out of it."""

from typing import Any

from node.authority import OwnAuthority
from node.errors import NotFoundError
from node.ledger import certificates, sources
from node.ledger.database import Transaction


def account(own: OwnAuthority, number: str) -> dict[str, Any]:
    """What came in with a certificate, what went out again, and what is left; carats as text.

    Raises:
        NotFoundError: No goods were admitted here with it.
    """

    def query(tx: Transaction) -> dict[str, Any]:
        came_in = certificates.came_in(tx, number)
        if came_in is None:
            raise NotFoundError(f"no goods were admitted here with {number}")
        held = certificates.by_number(tx, number)
        out, adjusted = sources.re_exported(tx, number), sources.adjusted(tx, number)
        return {
            "number": number,
            "on_paper": held is None or held.state not in sources.ADMITTED,
            "came_in": str(came_in - adjusted),
            "adjusted": str(adjusted),
            "went_out": str(out),
            "left": str(came_in - out),
            "uses": [
                {"number": u.number, "carats": str(u.carats), "state": u.state, "counts": u.counts}
                for u in sources.uses(tx, number)
            ],
        }

    return own.ledger.read(query)
