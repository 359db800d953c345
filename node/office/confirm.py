"""Confirm the arrival of goods to the exporting authority (KPCS section III (b))."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from node.authority import OwnAuthority
from node.domain.answering import FIGURES, within
from node.domain.facts import HeldCertificate
from node.domain.kinds import CONFIRMATION, RECORD
from node.domain.states import IMPORTER
from node.errors import NotFoundError, RefusedError
from node.ledger.database import Transaction
from node.office.act import Circumstances, Done, certificates_of, perform_within
from node.office.goods import making
from node.office.officer import Officer
from node.schema.validation import check

AMOUNTS = ("lines", "totals")
"""What the policy's tolerance is about."""


def confirm(
    own: OwnAuthority,
    numbers: Sequence[str],
    officer: Officer,
    *,
    received_on: str | None = None,
    inspection: Mapping[str, Any] | None = None,
) -> list[Done]:
    """Confirm that the goods of certificates arrived, all or nothing.

    They arrived as issued, or, after an amendment, as amended.

    Args:
        own: The importing authority.
        numbers: Certificates addressed to it.
        officer: Who confirms.
        received_on: ``YYYY-MM-DD``; today by default.
        inspection: As in ``schemas/inspection.v1.json``; what it leaves out was found as the
            newest inspection on record has it, else as the certificate says. Figures that differ by more than the policy's tolerance are refused:
            that is a discrepancy. Those within it go on record as an inspection, and the
            confirmation quotes the certificate's.

    Raises:
        NotFoundError: No certificate of this number came here.
        RefusedError: ``schema-invalid``, ``wrong-state``, ``dates-inconsistent`` and others.
        LogBehindError: Nothing may be signed.
    """
    found = dict(inspection or {}) | ({"received_on": received_on} if received_on else {})
    if findings := check("inspection.v1", found):
        raise RefusedError(findings)

    def write(tx: Transaction) -> list[Done]:
        told: dict[str, Mapping[str, Any]] = {}

        def arrived() -> Iterator[HeldCertificate]:
            for held in certificates_of(tx, numbers):
                seen = _found(held) | found
                told[held.number] = seen
                if not _tolerated(own, held, seen):
                    yield held
                    continue
                measured = {m: seen.pop(m) for m in AMOUNTS if m in seen}
                inspect = making("inspection", _within_tolerance(own, measured))
                perform_within(tx, own, "inspection", RECORD, [held], officer, inspect)
                yield from certificates_of(tx, [held.number])

        def make(case: Circumstances) -> dict[str, Any]:
            held, seen = case.held, told[case.held.number]
            if held.side != IMPORTER:
                detail = f"{held.number} is this authority's own; its importer confirms it"
                raise NotFoundError(detail)
            amended = "amendment" in held.last
            return {
                **{name: seen.get(name, held.figures[name]) for name in FIGURES},
                "received_on": seen.get("received_on", case.today.isoformat()),
                "result": "as-amended" if amended else "as-issued",
                "seals_intact": seen.get("seals_intact", True),
                "confirmed_by": case.by,
            }

        return perform_within(
            tx, own, "confirm", CONFIRMATION, arrived(), officer, make, ("amendment",)
        )

    own.fault("confirm.commit")
    return own.ledger.write(write)


def _found(held: HeldCertificate) -> dict[str, Any]:
    """What inspections found; a tolerated one, and those before an amendment, are settled."""
    _, inspection = held.last.get("record:inspection", ("", {}))
    settled = "tolerance" in inspection or "amendment" in held.last
    return {} if settled else dict(inspection.get("found", {}))


def _tolerated(own: OwnAuthority, held: HeldCertificate, found: Mapping[str, Any]) -> bool:
    """Whether figures found differ from the certificate's, line by line within the policy."""
    measured = {name: found[name] for name in AMOUNTS if name in found}
    recorded = {name: held.figures[name] for name in measured}
    policy = own.config.policy
    return recorded != measured and within(
        recorded, measured, policy.tolerance_carats, policy.tolerance_usd
    )


def _within_tolerance(own: OwnAuthority, measured: Mapping[str, Any]) -> dict[str, Any]:
    """What the record of a tolerated difference says."""
    policy = own.config.policy
    tolerance = {
        "carats": f"{policy.tolerance_carats:.2f}",
        "value_usd": f"{policy.tolerance_usd:.2f}",
    }
    return {"found": measured, "place": "at confirmation", "tolerance": tolerance}
