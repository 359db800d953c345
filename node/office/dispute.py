"""A discrepancy and what becomes of it: dispute, consent or refuse, amend (Order 269 article 8)."""

from collections.abc import Mapping
from typing import Any

from node.authority import OwnAuthority
from node.domain.kinds import AMENDMENT, DISCREPANCY, RESOLUTION
from node.office.act import Circumstances, Done, perform
from node.office.officer import Officer


def dispute(
    own: OwnAuthority,
    number: str,
    officer: Officer,
    *,
    reason: str,
    proposed: Mapping[str, Any] | None = None,
    seals_intact: bool = True,
) -> Done:
    """Tell the exporter that goods and certificate differ, with the values found.

    Args:
        own: The importing authority.
        number: The certificate.
        officer: Who raises it.
        reason: In words.
        proposed: Members with the values found: parcels, lines, totals, exporter, importer.
        seals_intact: Whether the seals were.

    Raises:
        NotFoundError, RefusedError, LogBehindError: As `node.office.act.perform`.
    """

    def make(case: Circumstances) -> dict[str, Any]:
        values = {} if proposed is None else {"proposed": proposed}
        return {"reason": reason, "seals_intact": seals_intact, **values, "raised_by": case.by}

    return perform(own, "dispute", DISCREPANCY, [number], officer, make)[0]


def resolve(
    own: OwnAuthority, number: str, officer: Officer, *, consent: bool, reason: str
) -> Done:
    """Consent to the values that the importer found, or refuse; the exporter decides once.

    Raises:
        NotFoundError, RefusedError, LogBehindError: As `node.office.act.perform`.
    """

    def make(case: Circumstances) -> dict[str, Any]:
        decision = "consent" if consent else "refusal"
        return {"decision": decision, "reason": reason, "decided_by": case.by}

    verb = "consent" if consent else "refuse"
    return perform(own, verb, RESOLUTION, [number], officer, make, ("discrepancy",))[0]


def amend(own: OwnAuthority, number: str, officer: Officer) -> Done:
    """Put the values consented to on record; the certificate itself stays as it was.

    Raises:
        NotFoundError, RefusedError, LogBehindError: As `node.office.act.perform`.
    """

    def make(case: Circumstances) -> dict[str, Any]:
        _, discrepancy = case.held.last.get("discrepancy", ("", {}))
        # Without consent there is nothing to amend; the rules say so under their own code.
        proposed = discrepancy.get("proposed", {"parcels": case.held.body["parcels"]})
        return {"amended": proposed, "amended_by": case.by}

    return perform(own, "amend", AMENDMENT, [number], officer, make, ("discrepancy", "resolution"))[
        0
    ]
