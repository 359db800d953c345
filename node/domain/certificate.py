"""Rules of a certificate (protocol section 7; KPCS Annex I A; Order 269). One function a step.

Each takes a document of the right form and yields findings; pointers are relative to the body.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from node.documents import Content
from node.domain.context import Context
from node.domain.facts import Alert
from node.domain.reference import names, same_participant_apart
from node.errors import Finding, finding
from node.ids import participant_of

IN_SCOPE = ("7102.10", "7102.21", "7102.31")
"""Headings of rough diamonds (KPCS section I)."""

_NOTHING = Decimal(0)

ZONE, APPROVAL = "compliant-zone", "prior-approval"
"""Kinds of evidence that a restricted participant's certificates carry."""


def kept(body: Mapping[str, Any]) -> dict[str, Any]:
    """The members that are still asked for once a certificate has passed what needs no ledger.

    Its read models and the steps that ask the ledger read these. All others stand in its bytes; in
    a bundle of thousands, handing them on takes a sixth of the time.
    """
    asked: dict[str, Any] = {name: body[name] for name in ("number", "issued_on", "expires_on")}
    for role in ("exporter", "importer"):
        asked[role] = {"name": body[role]["name"]}
    if "containers" in body:
        asked["containers"] = [{"seal": container["seal"]} for container in body["containers"]]
    return asked


def authority_matches(document: Content, _: Context) -> Iterator[Finding]:
    """KP-A-005: the body speaks for the authority that signed."""
    body, participant = document.body, participant_of(document.iss)
    speaker = body["issued_by"]["authority"]
    if speaker != document.iss:
        detail = f"expected {document.iss}, which signed, got {speaker}"
        yield finding("KP-A-005", "/issued_by/authority", detail)
    if body["participant"] != participant:
        detail = f"expected {participant} of {document.iss}, got {body['participant']}"
        yield finding("KP-A-005", "/participant", detail)


def number(document: Content, context: Context) -> Iterator[Finding]:
    """KP-C-001, KP-C-002: the number has the issuer's form and lies in its ranges."""
    rules = context.reference.profile(document.iss, issue_day(document))
    if not rules.fits(document.body["number"]):
        yield finding(
            "KP-C-001",
            "/number",
            f"expected {rules.participant} and the form {rules.number_pattern.pattern}, "
            f"got {document.body['number']}",
        )
    elif not rules.in_range(document.body["number"]):
        ranges = ", ".join(f"{first} to {last}" for first, last in rules.ranges or ()) or "none"
        detail = f"ranges that day: {ranges}; got {document.body['number']}"
        yield finding("KP-C-002", "/number", detail)


def number_is_free(document: Content, context: Context) -> Iterator[Finding]:
    """KP-C-003: no other document of the participant has this number."""
    assert context.facts is not None
    held = context.facts.certificate(participant_of(document.iss) or "", document.body["number"])
    if held is not None and held.doc_id != document.doc_id:
        # Which document it is, is told only to whom it belongs.
        by = f" by document {held.doc_id}" if held.iss == document.iss else ""
        detail = f"{held.number} is already used{by}"
        yield finding("KP-C-003", "/number", detail)


def participants(document: Content, context: Context) -> Iterator[Finding]:
    """KP-C-004: both ends of the route are participants on the day of issue."""
    for member in ("provenance", "destination"):
        code = document.body[member]
        if context.reference.standing(code, issue_day(document)) is None:
            detail = f"{code} is no participant on {document.body['issued_on']}"
            yield finding("KP-C-004", f"/{member}", detail)


def route(document: Content, _: Context) -> Iterator[Finding]:
    """KP-C-005, KP-C-006: from the issuer's participant to the addressee's."""
    body, issuer, addressee = document.body, document.iss, document.aud[0]
    if body["provenance"] != participant_of(issuer):
        detail = f"expected {participant_of(issuer)} of {issuer}, got {body['provenance']}"
        yield finding("KP-C-005", "/provenance", detail)
    if body["destination"] != participant_of(addressee):
        detail = f"expected {participant_of(addressee)} of {addressee}, got {body['destination']}"
        yield finding("KP-C-006", "/destination", detail)
    elif body["destination"] == body["provenance"] and not same_participant_apart(
        issuer, addressee
    ):
        detail = f"destination and provenance are both {body['provenance']}"
        yield finding("KP-C-006", "/destination", detail)


def dates(document: Content, context: Context) -> Iterator[Finding]:
    """KP-C-007 to KP-C-009: issued by now, expiring after, within the issuer's rule."""
    issued, expires = issue_day(document), date.fromisoformat(document.body["expires_on"])
    if expires <= issued:
        yield finding("KP-C-007", "/expires_on", f"expected after {issued}, got {expires}")
    elif context.issuing and context.today is not None and expires < context.today:
        detail = f"expected {context.today} or later, got {expires}"
        yield finding("KP-C-007", "/expires_on", detail)
    longest = context.reference.latest_expiry(document.iss, issued)
    if expires > longest:
        detail = f"expected {longest} at the latest, got {expires}"
        yield finding("KP-C-008", "/expires_on", detail)
    if not context.has_begun(issued):
        detail = f"{issued} has not begun anywhere; it is {context.now:%Y-%m-%d %H:%M} UTC"
        yield finding("KP-C-009", "/issued_on", detail)
    if ahead := context.ahead_s(document.iat):
        yield finding("KP-C-009", "", f"iat lies {ahead} s beyond the clock's grace")


def headings(document: Content, _: Context) -> Iterator[Finding]:
    """KP-C-010: only rough diamonds travel under a certificate."""
    for at, line in enumerate(document.body["lines"]):
        if line["hs"] not in IN_SCOPE:
            detail = f"expected one of {', '.join(IN_SCOPE)}, got {line['hs']}"
            yield finding("KP-C-010", f"/lines/{at}/hs", detail)


def sums(document: Content, _: Context) -> Iterator[Finding]:
    """KP-C-011: lines add up to the totals, as decimal numbers."""
    for member in ("carats", "value_usd"):
        amounts = [line[member] for line in document.body["lines"]]
        total = document.body["totals"][member]
        if amounts == [total]:
            continue
        added = sum(map(Decimal, amounts), _NOTHING)
        if added != Decimal(total):
            yield finding("KP-C-011", f"/totals/{member}", f"lines add up to {added}, got {total}")


def origin(document: Content, _: Context) -> Iterator[Finding]:
    """KP-C-012: unmixed goods have one mining origin, mixed goods none or several."""
    origins, mixed = document.body["mining_origins"], document.body["mixed_origin"]
    if (len(origins) == 1) == mixed or (not mixed and not origins):
        expected = "none or at least two" if mixed else "exactly one"
        kind = "mixed" if mixed else "unmixed"
        detail = f"{kind} goods: expected {expected}, got {len(origins)}: {', '.join(origins)}"
        yield finding("KP-C-012", "/mining_origins", detail)


def declaration(document: Content, _: Context) -> Iterator[Finding]:
    """KP-C-013: the exporter declares that the goods are not conflict diamonds."""
    declared = document.body.get("declaration")
    if declared is None:
        yield finding("KP-C-013", "/declaration", "expected the exporter's declaration, got none")
    elif not declared["not_conflict"]:
        yield finding("KP-C-013", "/declaration/not_conflict", "expected true, got false")


def sources(document: Content, context: Context) -> Iterator[Finding]:
    """KP-C-014: a re-export names how many certificates the goods came in with."""
    outside = outside_provenance(document, context)
    if outside and "sources" not in document.body:
        where = "/source_certificates" if context.issuing else "/sources"
        detail = (
            f"mined in {', '.join(outside)}, outside {document.body['provenance']}: a re-export"
        )
        yield finding("KP-C-014", where, detail)


def alerts(document: Content, context: Context) -> Iterator[Finding]:
    """KP-W-001: the certificate's own participant has not warned of its number."""
    assert context.facts is not None
    yield from warnings(context.facts.alerts_on(document.body["number"]))


def warnings(alerts_on: Iterable[Alert]) -> Iterator[Finding]:
    """KP-W-001: no alert of the number's own participant is among those on it."""
    for alert in alerts_on:
        if alert.refuses:
            detail = f"{alert.iss} has alerted {alert.numbers}: {alert.subject} ({alert.doc_id})"
            yield finding("KP-W-001", "/number", detail)


def restrictions(document: Content, context: Context) -> Iterator[Finding]:
    """KP-C-016 to KP-C-018: dated restrictions of either end, of an origin, or to named zones."""
    day, body, known = issue_day(document), document.body, context.reference
    for member in ("provenance", "destination"):
        row = known.standing(body[member], day)
        if row is not None and row.status == "suspended":
            detail = f"{row.code} is suspended {row.span}"
            yield finding("KP-C-016", f"/{member}", detail)
    for at, origin_ in enumerate(body["mining_origins"]):
        if (embargo := known.embargo(origin_, day)) is not None:
            detail = f"goods mined in {origin_} are under embargo {embargo.span}: {embargo.source}"
            yield finding("KP-C-017", f"/mining_origins/{at}", detail)
    row = known.standing(body["provenance"], day)
    if row is not None and row.status == "restricted":
        yield from _from_a_zone(document, context)


def _from_a_zone(document: Content, context: Context) -> Iterator[Finding]:
    """KP-C-018: a restricted participant's goods name a zone and, while it is asked, an approval."""
    day, body = issue_day(document), document.body
    zones = context.reference.zones_of(body["provenance"], day)
    told = {one["kind"]: one.get("reference") for one in body.get("evidence", ())}
    named = next((zone for zone in zones if zone.name == told.get(ZONE)), None)
    if named is None:
        detail = f"evidence {ZONE}: expected one of {names(zones)}, got {told.get(ZONE, 'none')}"
        yield finding("KP-C-018", "/evidence", detail)
    elif named.approval_until and day <= named.approval_until and APPROVAL not in told:
        detail = f"evidence {APPROVAL}: asked of {named.name} until {named.approval_until}"
        yield finding("KP-C-018", "/evidence", detail)


def outside_provenance(document: Content, context: Context) -> list[str]:
    """Mining origins outside the provenance; any makes the goods a re-export."""
    body, within = document.body, context.reference.lies_within
    return [c for c in body["mining_origins"] if not within(c, body["provenance"])]


def issue_day(document: Content) -> date:
    """The certificate's day of issue."""
    return date.fromisoformat(document.body["issued_on"])
