"""Take a CSV table of certificates in: issue what is ours, record what was admitted on paper.

First a plan, made by doing all of it and taking it back: what it says is what will happen.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from node.authority import OwnAuthority
from node.errors import Finding, RefusedError, RefusedShipmentsError, finding
from node.ids import participant_of
from node.ledger import certificates, sources
from node.ledger.database import Transaction
from node.office import table
from node.office.issue import issue
from node.office.officer import Officer
from node.office.sources import admit_paper
from node.progress import Progress, through, untold

ISSUE, ADMIT, HERE, REFUSED = "issue", "record as admitted on paper", "here already", "refused"


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes of one certificate of a table.

    Attributes:
        line: Of the file, where it begins.
        will: ``issue``, ``record as admitted on paper``, ``here already`` or ``refused``.
        code, detail, rule, pointer: Why, where it is refused.
    """

    line: int
    number: str
    will: str
    peer: str
    carats: str
    code: str = ""
    detail: str = ""
    rule: str = ""
    pointer: str = ""

    def as_json(self) -> dict[str, Any]:
        """All members."""
        return asdict(self)


class _UndoneError(Exception):
    def __init__(self, steps: list[Step]) -> None:
        self.steps = steps


def import_table(
    own: OwnAuthority, raw: bytes, officer: Officer, *, apply: bool, progress: Progress = untold
) -> list[Step]:
    """Plan what a table means, and do it: all of it, or nothing where anything is refused.

    Args:
        own: This node.
        raw: The file.
        officer: In whose name.
        apply: Whether to do it; else it is only tried.
        progress: Told while certificates are ``importing``.

    Returns:
        One step a certificate; where any is refused, nothing was recorded.

    Raises:
        RefusedError: ``not-csv``.
        LogBehindError: Nothing may be signed.
    """
    found = table.read(raw)

    def write(tx: Transaction) -> list[Step]:
        steps = [_step(tx, own, rows, officer) for rows in through(found, "importing", progress)]
        if not apply or any(step.will == REFUSED for step in steps):
            raise _UndoneError(steps)
        return steps

    try:
        return own.ledger.write(write)
    except _UndoneError as undone:
        return undone.steps


def _step(tx: Transaction, own: OwnAuthority, lines: table.Rows, officer: Officer) -> Step:
    rows = [row for _, row in lines]
    line, row = lines[0]
    carats = table.carats(rows)
    number, issuer = row["number"], row["issued_by"]
    ours = participant_of(issuer) == participant_of(own.name)
    peer = row.get("to", "") if ours else issuer
    here = _on_record(tx, number)
    if here is not None and here == carats:
        return Step(line, number, HERE, peer, carats)
    try:
        if here is not None:
            detail = f"{number} is on record with {here} carats, the table has {carats}"
            raise RefusedError([finding("KP-C-003", "/carats", detail)])
        if wrong := table.contradictions(lines):
            raise RefusedError(wrong)
        if ours:
            issue(own, [table.shipment(rows)], officer)
            return Step(line, number, ISSUE, peer, carats)
        _admit(own, rows, officer)
        return Step(line, number, ADMIT, peer, carats)
    except RefusedShipmentsError as refusal:
        found: Sequence[Finding] = refusal.refusals[0].findings
    except RefusedError as refusal:
        found = refusal.findings
    first = found[0]
    return Step(
        line, number, REFUSED, peer, carats, first.code, first.detail, first.rule, first.pointer
    )


def _on_record(tx: Transaction, number: str) -> str | None:
    """The carats of a certificate that is held, or was admitted on paper; None if it is neither."""
    if (certificate := certificates.by_number(tx, number)) is not None:
        return str(certificates.held(tx, certificate).figures["totals"]["carats"])
    paper = sources.on_paper(tx, number)
    return None if paper is None else str(paper[1])


def _admit(own: OwnAuthority, rows: list[dict[str, str]], officer: Officer) -> None:
    row = rows[0]
    if not row.get("confirmed_on"):
        detail = "a certificate from abroad is recorded once it was admitted: give confirmed_on"
        raise RefusedError([finding("KP-C-019", "/confirmed_on", detail)])
    admit_paper(
        own, row["number"], officer,
        issuer=row["issued_by"], carats=table.carats(rows), received_on=row["confirmed_on"],
        issued_on=row.get("issued_on") or None,
    )  # fmt: skip
