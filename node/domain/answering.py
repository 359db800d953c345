"""Rules of documents that answer a certificate: who may, to which one, in which state.

One table says for each kind which side issues it and which documents it must name besides the
certificate; what a kind demands of its own values is in the functions below it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from node.clock import days_after, first_elsewhere
from node.documents import Content
from node.domain import certificate, states
from node.domain.context import Context
from node.domain.facts import HeldCertificate
from node.domain.kinds import NAMED
from node.domain.states import EXPORTER, IMPORTER
from node.errors import Finding, finding
from node.ids import participant_of

FIGURES = ("parcels", "lines", "totals", "exporter", "importer", "provenance", "destination")
"""What a confirmation quotes from its certificate."""

TECHNICAL_DAYS = 60
"""Validity of a technical certificate, day of issue not counted (Order 269 article 14)."""


@dataclass(frozen=True, slots=True)
class Answering:
    """Who issues a kind, and what its ``re`` names after the certificate."""

    side: str
    names: tuple[str, ...] = ()


ANSWERING: dict[str, Answering] = {
    "confirmation:as-issued": Answering(IMPORTER),
    "confirmation:as-amended": Answering(IMPORTER, ("amendment",)),
    "discrepancy": Answering(IMPORTER),
    "resolution:consent": Answering(EXPORTER, ("discrepancy",)),
    "resolution:refusal": Answering(EXPORTER, ("discrepancy",)),
    "amendment": Answering(IMPORTER, ("discrepancy", "resolution")),
    "technical-certificate:return": Answering(IMPORTER),
    "technical-certificate:scientific": Answering(IMPORTER),
    "return": Answering(EXPORTER, ("technical-certificate",)),
    **{f"revocation:{reason}": Answering(EXPORTER) for reason in states.REVOKED},
}


def authority_matches(document: Content, _: Context) -> Iterator[Finding]:
    """KP-A-005: the body speaks for the authority that signed."""
    member = NAMED[document.kind].speaker
    speaker = document.body[member]["authority"]
    if speaker != document.iss:
        detail = f"expected {document.iss}, which signed, got {speaker}"
        yield finding("KP-A-005", f"/{member}/authority", detail)


def not_ahead(document: Content, context: Context) -> Iterator[Finding]:
    """KP-C-009: the document is not from the future."""
    if ahead := context.ahead_s(document.iat):
        yield finding("KP-C-009", "", f"iat lies {ahead} s beyond the clock's grace")


def arrival(document: Content, context: Context) -> Iterator[Finding]:
    """KP-F-004: goods do not arrive in the future."""
    received = date.fromisoformat(document.body["received_on"])
    if not context.has_begun(received):
        yield finding("KP-F-004", "/received_on", f"{received} has not begun anywhere")


def technical_dates(document: Content, context: Context) -> Iterator[Finding]:
    """KP-L-012: a technical certificate is good for sixty days at most."""
    issued, expires = (date.fromisoformat(document.body[m]) for m in ("issued_on", "expires_on"))
    if not context.has_begun(issued):
        yield finding("KP-L-012", "/issued_on", f"{issued} has not begun anywhere")
    longest = days_after(issued, TECHNICAL_DAYS)
    if not issued < expires <= longest:
        detail = f"expected after {issued} and {longest} at the latest, got {expires}"
        yield finding("KP-L-012", "/expires_on", detail)


def references(document: Content, context: Context) -> Iterator[Finding]:
    """KP-F-001, then the state's rule, then what the kind demands of its values."""
    assert context.facts is not None
    event = states.event_of(document.kind, document.body)
    held = context.facts.certificate_by_id(document.re[0]) if document.re else None
    number = document.body["number"]
    if held is not None and context.issuing and not _is_for(held.side, event):
        detail = f"this authority is the {held.side} of {number}; {event} is for the other side"
        yield finding("KP-F-001", "", detail)
        return
    if held is None or not _fits(document, held, event):
        detail = f"no certificate {number} of this pair is held as {_first(document)}"
        yield finding("KP-F-001", "", detail)
        return
    if states.transition(held.side, held.state, event) is None:
        rule = states.rule_of(held.side, event) or "KP-F-001"
        yield finding(rule, "/number", f"{held.number} is {held.state}: no {event} now")
        return
    if (wrong := _other_references(document, held, event)) is not None:
        yield finding("KP-F-001", "", wrong)
        return
    demands = _DEMANDS.get(document.kind)
    if demands is not None:
        yield from demands(document, held, context)


def alerts(document: Content, context: Context) -> Iterator[Finding]:
    """KP-W-001, KP-W-002: goods here are presented and admitted only where no alert stands against it.

    Its own participant's alert refuses; anyone else's must have been looked at: held, and released.
    What a peer has decided about its own goods is taken as it is.
    """
    event = states.event_of(document.kind, document.body)
    if not context.issuing or event not in _ON_ARRIVAL:
        return
    assert context.facts is not None
    on_number = context.facts.alerts_on(document.body["number"])
    yield from certificate.warnings(on_number)
    if on_number and document.kind == "confirmation":
        looked_at = context.facts.looked_at(document.re[0])
        for alert in on_number:
            if not alert.refuses and alert.entry > looked_at:
                detail = (
                    f"{alert.iss} has flagged {alert.numbers}: {alert.subject}; hold, look, release"
                )
                yield finding("KP-W-002", "/number", detail)


_ON_ARRIVAL = ("record:presentation", "confirmation:as-issued", "confirmation:as-amended")


def _is_for(side: str, event: str) -> bool:
    """Whether who has a certificate on this side may bring an event about."""
    answering = ANSWERING.get(event)
    return answering.side == side if answering else states.rule_of(side, event) is not None


def _fits(document: Content, held: HeldCertificate, event: str) -> bool:
    """Whether number and direction are those of the certificate."""
    answering = ANSWERING.get(event)
    if document.body["number"] != held.number:
        return False
    if answering is None:  # a record, of this authority about its own side
        return _is_for(held.side, event)
    ends = (document.iss, document.aud[0])
    expected = (held.iss, held.addressee)
    return ends == (expected if answering.side == EXPORTER else expected[::-1])


def _other_references(document: Content, held: HeldCertificate, event: str) -> str | None:
    answering = ANSWERING.get(event)
    names = answering.names if answering else ()
    given = document.re[1:]
    expected = [held.last[name][0] for name in names if name in held.last]
    if list(given) == expected:
        return None
    # The protocol lets re name what is answered alone; the certificate first is this node's form.
    listed = ", ".join(given) or "nothing"
    return f"expected {', '.join(names) or 'nothing'} after the certificate, got {listed}"


def _confirmation(document: Content, held: HeldCertificate, context: Context) -> Iterator[Finding]:
    """KP-F-003 to KP-F-005: the certificate's figures, or the amended ones; in time; sealed."""
    body = document.body
    for member in FIGURES:
        told, recorded = body[member], held.figures[member]
        if told != recorded and _told(told) != _told(recorded):
            detail = f"the certificate has {held.figures[member]}, got {body[member]}"
            yield finding("KP-F-003", f"/{member}", detail)
    received = body["received_on"]
    if received < (first := first_elsewhere(held.body["issued_on"])):
        detail = f"expected {first} or later, got {received}"
        yield finding("KP-F-004", "/received_on", detail)
    if context.issuing:
        # Only who has the goods before him judges these; the exporter takes the answer as it is.
        presented = held.last.get("record:presentation")
        shown = presented[1]["by"]["on"] if presented else received
        if shown > held.body["expires_on"]:
            detail = f"the certificate expired on {held.body['expires_on']}, got {shown}"
            yield finding("KP-F-004", "/received_on", detail)
        assert context.facts is not None
        recorded, carats = context.facts.on_paper(held.number), Decimal(body["totals"]["carats"])
        if recorded is not None and recorded != carats:
            detail = f"admitted on paper with {recorded} carats, got {carats}; a dispute settles it"
            yield finding("KP-F-006", "/totals/carats", detail)
        if not body["seals_intact"]:
            yield finding("KP-F-005", "/seals_intact", "expected true, got false")


def _discrepancy(document: Content, held: HeldCertificate, _: Context) -> Iterator[Finding]:
    """KP-C-011, KP-L-013: the values proposed add up, and differ from the certificate's."""
    proposed = document.body.get("proposed", {})
    yield from _adds_up(proposed, held, "/proposed")
    if proposed and all(_told(held.figures[m]) == _told(v) for m, v in proposed.items()):
        yield finding("KP-L-013", "/proposed", "the values proposed are those of the certificate")


def _resolution(document: Content, held: HeldCertificate, _: Context) -> Iterator[Finding]:
    """KP-L-014: nothing can be consented to where nothing was proposed."""
    proposed = held.last["discrepancy"][1].get("proposed")
    if document.body["decision"] == "consent" and not proposed:
        yield finding("KP-L-014", "/decision", "the discrepancy proposes no values")


def _amendment(document: Content, held: HeldCertificate, _: Context) -> Iterator[Finding]:
    """KP-L-005: the values agreed are those consented to."""
    proposed = held.last["discrepancy"][1].get("proposed", {})
    if _told(document.body["amended"]) != _told(proposed):
        yield finding("KP-L-005", "/amended", "expected the values that were consented to")


def _technical(document: Content, held: HeldCertificate, context: Context) -> Iterator[Finding]:
    """KP-L-012, KP-L-016: consulted about this certificate, and a number of its own."""
    if not context.issuing:
        return  # how the importer numbers and consults is not the exporter's to judge
    assert context.facts is not None
    body = document.body
    if "consultation" in body:
        consulted = date.fromisoformat(body["consultation"]["on"])
        # East of here the certificate may bear tomorrow's date.
        earliest = days_after(date.fromisoformat(held.body["issued_on"]), -1)
        if consulted < earliest or not context.has_begun(consulted):
            detail = f"expected {earliest} to {body['issued_on']}, got {consulted}"
            yield finding("KP-L-012", "/consultation/on", detail)
    if context.facts.technical_number_used(body["technical_number"]):
        detail = f"{body['technical_number']} was given to another technical certificate"
        yield finding("KP-L-016", "/technical_number", detail)


def _revocation(document: Content, held: HeldCertificate, context: Context) -> Iterator[Finding]:
    """KP-L-017: a replacement is another certificate issued here that is still good."""
    replacement = document.body.get("replaced_by")
    if not context.issuing or replacement is None:
        return
    assert context.facts is not None
    other = context.facts.certificate(participant_of(held.iss) or "", replacement)
    if document.body["reason"] != "replaced":
        detail = f"only for the reason replaced, got {document.body['reason']}"
        yield finding("KP-L-017", "/replaced_by", detail)
    elif other is None or other.number == held.number or other.state in states.REVOKED:
        detail = f"expected another good certificate issued here, got {replacement}; issue it first"
        yield finding("KP-L-017", "/replaced_by", detail)


def _return(document: Content, held: HeldCertificate, _: Context) -> Iterator[Finding]:
    """KP-L-007: with the technical certificate that was issued, while it is good."""
    technical = held.last["technical-certificate"][1]
    body = document.body
    if body["technical_number"] != technical["technical_number"]:
        detail = f"expected {technical['technical_number']}, got {body['technical_number']}"
        yield finding("KP-L-007", "/technical_number", detail)
    first, last = first_elsewhere(technical["issued_on"]), technical["expires_on"]
    if not first <= body["received_on"] <= last:
        detail = f"expected {first} to {last}, got {body['received_on']}"
        yield finding("KP-L-012", "/received_on", detail)


def _record(document: Content, held: HeldCertificate, _: Context) -> Iterator[Finding]:
    """KP-L-009: goods are presented while the certificate is good."""
    body = document.body
    if body["act"] == "presentation" and body["by"]["on"] > held.body["expires_on"]:
        detail = f"the certificate expired on {held.body['expires_on']}, got {body['by']['on']}"
        yield finding("KP-L-015", "/by/on", detail)


def _adds_up(values: Mapping[str, Any], held: HeldCertificate, where: str) -> Iterator[Finding]:
    lines = values.get("lines", held.figures["lines"])
    totals = values.get("totals", held.figures["totals"])
    for at, line in enumerate(values.get("lines", ())):
        if line["hs"] not in certificate.IN_SCOPE:
            yield finding("KP-C-010", f"{where}/lines/{at}/hs", f"{line['hs']} is out of scope")
    for member in ("carats", "value_usd"):
        added = sum((Decimal(line[member]) for line in lines), Decimal(0))
        if added != Decimal(totals[member]):
            detail = f"lines add up to {added}, got {totals[member]}"
            yield finding("KP-C-011", f"{where}/totals/{member}", detail)


def _told(value: Any) -> Any:
    """What counts in a quotation: amounts as numbers, headings, names; not how lines are described."""
    if isinstance(value, list | tuple):
        return [_told(item) for item in value]
    if not isinstance(value, dict):
        return value
    amounts = {name: Decimal(value[name]) for name in ("carats", "value_usd") if name in value}
    kept = {
        name: _told(item)
        for name, item in value.items()
        if name in (*FIGURES, "hs", "name", "country")
    }
    return kept | amounts


def within(recorded: Any, measured: Any, carats: Decimal, usd: Decimal) -> bool:
    """Whether measured figures have the form of recorded ones and amounts differ by no more.

    Args:
        recorded: Lines and totals of a certificate.
        measured: The same members as found.
        carats: By how much a mass may differ, each single one.
        usd: By how much a value may differ, each single one.
    """
    if isinstance(recorded, list) and isinstance(measured, list):
        return len(recorded) == len(measured) and all(
            within(one, other, carats, usd) for one, other in zip(recorded, measured, strict=True)
        )
    if not (isinstance(recorded, dict) and isinstance(measured, dict)):
        return bool(recorded == measured)
    limits = {"carats": carats, "value_usd": usd}
    return all(
        abs(Decimal(recorded[name]) - Decimal(measured[name])) <= limits[name]
        if name in limits
        else within(recorded[name], measured.get(name, recorded[name]), carats, usd)
        for name in recorded
    )


def _first(document: Content) -> str:
    return document.re[0] if document.re else "nothing"


_DEMANDS = {
    "confirmation": _confirmation,
    "discrepancy": _discrepancy,
    "resolution": _resolution,
    "amendment": _amendment,
    "technical-certificate": _technical,
    "revocation": _revocation,
    "return": _return,
    "record": _record,
}
