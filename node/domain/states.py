"""States of a certificate on either side, as one table: which facts make which state."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class State:
    """A state, the side that shows it, and what it means to an officer."""

    side: str
    name: str
    meaning: str


EXPORTER = "exporter"
IMPORTER = "importer"

STATES: dict[tuple[str, str, bool], State] = {
    # (side, last outcome at the other side, confirmed)
    (EXPORTER, "", False): State(EXPORTER, "issued", "signed and queued; no receipt yet"),
    (EXPORTER, "accepted", False): State(
        EXPORTER, "delivered", "held and accepted by the importer"
    ),
    (EXPORTER, "rejected", False): State(EXPORTER, "refused", "refused by the importer's node"),
    (EXPORTER, "accepted", True): State(EXPORTER, "confirmed", "the goods arrived"),
    # A confirmation proves that the certificate arrived, whatever became of the receipt.
    (EXPORTER, "", True): State(EXPORTER, "confirmed", "the goods arrived"),
    (EXPORTER, "rejected", True): State(EXPORTER, "confirmed", "the goods arrived"),
    (IMPORTER, "", False): State(
        IMPORTER, "announced", "certificate held; goods not yet confirmed"
    ),
    (IMPORTER, "", True): State(IMPORTER, "admitted", "arrival confirmed to the exporter"),
}


def state(side: str, outcome: str, confirmed: bool) -> State:
    """The state of a certificate.

    Args:
        side: ``exporter`` or ``importer``.
        outcome: Last outcome named in a receipt (``duplicate`` counts as accepted), or ``""``.
        confirmed: Whether a confirmation is in the log.
    """
    settled = "accepted" if outcome == "duplicate" else outcome
    return STATES[side, settled, confirmed]
