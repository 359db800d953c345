"""Whether a shipment may be issued, beyond what its certificate would be held against everywhere.

What it says of itself is asked without the ledger; what drafts and sources say, inside the
transaction that issues it.
"""

from collections.abc import Mapping, Sequence, Set
from decimal import Decimal
from typing import Any

from node.authority import OwnAuthority
from node.config import Policy
from node.domain.answering import within
from node.domain.context import Context
from node.errors import Finding, finding
from node.ledger import drafts
from node.ledger.database import Transaction
from node.office.officer import Officer


def ends(own: OwnAuthority, shipment: Mapping[str, Any]) -> list[Finding]:
    """KP-A-005, KP-A-004: from this node to one of its peers."""
    if shipment.get("from", own.name) != own.name:
        return [finding("KP-A-005", "/from", f"expected {own.name}, got {shipment['from']}")]
    if shipment["to"] not in own.book.settings:
        known = ", ".join(own.book.settings) or "none yet; see kpnode peer add"
        detail = f"{shipment['to']} is no peer of this node (peers: {known})"
        return [finding("KP-A-004", "/to", detail)]
    return []


def added_sources(shipment: Mapping[str, Any]) -> list[Finding]:
    """KP-C-015: the sources' carats add up to the total."""
    sources = shipment.get("source_certificates", ())
    added = sum((Decimal(source["carats"]) for source in sources), Decimal(0))
    total = Decimal(shipment["totals"]["carats"])
    if not sources or added == total:
        return []
    detail = f"sources add up to {added}, the shipment has {total}"
    return [finding("KP-C-015", "/source_certificates", detail)]


def implausible(policy: Policy, shipment: Mapping[str, Any]) -> list[Finding]:
    """KP-C-020: what a carat is worth, line by line."""
    least, most = policy.least_usd_per_carat, policy.most_usd_per_carat
    if least is None and most is None:
        return []
    found = []
    for at, line in enumerate(shipment["lines"]):
        carats, value = Decimal(line["carats"]), Decimal(line["value_usd"])
        if (least is not None and value < least * carats) or (
            most is not None and value > most * carats
        ):
            expected = f"US$ {least or 0} to {'any' if most is None else most} a carat"
            detail = f"expected {expected}, got {value} for {carats}"
            found.append(finding("KP-C-020", f"/lines/{at}/value_usd", detail))
    return found


def of_draft(
    tx: Transaction,
    own: OwnAuthority,
    shipment: Mapping[str, Any],
    officer: Officer,
    drafted: Set[str],
) -> list[Finding]:
    """KP-N-001 to KP-N-003: a draft of this number is open, and another officer's where it must be."""
    number = shipment["number"]
    held = drafts.by_number(tx, number) if number in drafted else None
    four_eyes = own.config.policy.four_eyes
    if held is None:
        detail = f"four eyes: {number} has no draft; see kpnode draft"
        return [finding("KP-N-003", "/number", detail)] if four_eyes else []
    if not held.open:
        return [finding("KP-N-001", "/number", f"the draft of {number} is {held.state}")]
    if held.shipment != shipment:
        return [finding("KP-N-001", "/number", f"{number} is reserved for another shipment")]
    if differing := _found_otherwise(own, held):
        return differing
    if four_eyes and (None in (held.officer, officer.officer) or _same(held, officer)):
        detail = f"four eyes: drafted by {held.officer or 'nobody named'}, issued by {officer.officer or 'nobody named'}"
        return [finding("KP-N-003", "/number", detail)]
    return []


def _found_otherwise(own: OwnAuthority, held: drafts.Draft) -> list[Finding]:
    """KP-N-004: where the inspection before export found something else than the shipment says."""
    policy, told = own.config.policy, held.shipment
    limits = policy.tolerance_carats, policy.tolerance_usd
    wrong = [
        (name, f"{name}: drafted {told.get(name)}, found {found}")
        for name, found in held.found.items()
        if name != "seals_intact" and not within(told.get(name), found, *limits)
    ]
    if not held.found.get("seals_intact", True):
        wrong.append(("seals_intact", "seals_intact: found broken"))
    then = "; inspect again, or withdraw and draft what is there"
    return [finding("KP-N-004", f"/{name}", detail + then) for name, detail in wrong]


def _same(held: drafts.Draft, officer: Officer) -> bool:
    """Whether two names are one officer's, however they are written."""
    one, other = (
        " ".join((name or "").casefold().split()) for name in (held.officer, officer.officer)
    )
    return one == other


def exceeded(sources: Sequence[Mapping[str, Any]], context: Context) -> list[Finding]:
    """KP-C-019, KP-C-015: the sources came in here, and no more goes out of one than came in.

    KP-W-001, KP-W-007: nor has their own participant warned of one, or called it not genuine.
    """
    assert context.facts is not None
    found = []
    taken: dict[str, Decimal] = {}
    for at, source in enumerate(sources):
        number = source["number"]
        taken[number] = taken.get(number, Decimal(0)) + Decimal(source["carats"])
        came_in = context.facts.came_in(number)
        if came_in is None:
            detail = f"{number} was not admitted here: confirm it, or record its paper (kpnode source admit)"
            found.append(finding("KP-C-019", f"/source_certificates/{at}/number", detail))
            continue
        where = f"/source_certificates/{at}/number"
        for alert in context.facts.alerts_on(number):
            if alert.refuses:
                detail = (
                    f"{alert.iss} has alerted {alert.numbers}: {alert.subject} ({alert.doc_id})"
                )
                found.append(finding("KP-W-001", where, detail))
        if context.facts.disowned(number):
            found.append(finding("KP-W-007", where, f"its issuer has called {number} not genuine"))
        left = came_in - context.facts.re_exported(number)
        if taken[number] > left:
            detail = f"{left} of {came_in} carats of {number} are left, got {taken[number]}; kpnode source adjust"
            found.append(finding("KP-C-015", f"/source_certificates/{at}/carats", detail))
    return found
