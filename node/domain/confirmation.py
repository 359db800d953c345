"""Rules of an import confirmation (KPCS section III (b), Annex I B; Order 269 article 8)."""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

from node.documents import Content
from node.domain.context import Context
from node.domain.facts import HeldCertificate
from node.errors import Finding, finding

FIGURES = ("parcels", "lines", "totals", "exporter", "importer", "provenance", "destination")
"""What a confirmation quotes from its certificate."""


def authority_matches(document: Content, _: Context) -> Iterator[Finding]:
    """KP-A-005: the body speaks for the authority that signed."""
    speaker = document.body["confirmed_by"]["authority"]
    if speaker != document.iss:
        detail = f"expected {document.iss}, which signed, got {speaker}"
        yield finding("KP-A-005", "/confirmed_by/authority", detail)


def dates(document: Content, context: Context) -> Iterator[Finding]:
    """KP-F-004, KP-C-009: goods do not arrive in the future."""
    received = date.fromisoformat(document.body["received_on"])
    if not context.has_begun(received):
        yield finding("KP-F-004", "/received_on", f"{received} has not begun anywhere")
    if ahead := context.ahead_s(document.iat):
        yield finding("KP-C-009", "", f"iat lies {ahead} s beyond the clock's grace")


def references(document: Content, context: Context) -> Iterator[Finding]:
    """KP-F-001 to KP-F-005: it answers a certificate held here, once, with its figures."""
    assert context.facts is not None
    held = context.facts.document_is_certificate(document.re[0])
    if (
        held is None
        or held.number != document.body["number"]
        or (held.iss, held.addressee) != (document.aud[0], document.iss)
    ):
        detail = f"no certificate {document.body['number']} from {document.aud[0]} to {document.iss} is held as {document.re[0]}"
        yield finding("KP-F-001", "", detail)
        return
    if len(document.re) > 1:
        yield finding("KP-F-001", "", f"no amendment {document.re[1]} is held")
        return
    if held.confirmed:
        yield finding("KP-F-002", "/number", f"{held.number} is already confirmed")
        return
    yield from _agreement(document, held, context)


def _agreement(document: Content, held: HeldCertificate, context: Context) -> Iterator[Finding]:
    body = document.body
    if body["result"] == "as-amended":
        detail = "expected as-issued: no amendment of this certificate is held"
        yield finding("KP-F-003", "/result", detail)
        return
    for member in FIGURES:
        if _figures(body[member]) != _figures(held.body[member]):
            detail = f"the certificate has {held.body[member]}, got {body[member]}"
            yield finding("KP-F-003", f"/{member}", detail)
    received = body["received_on"]
    if received < held.body["issued_on"]:
        detail = f"expected {held.body['issued_on']} or later, got {received}"
        yield finding("KP-F-004", "/received_on", detail)
    if context.issuing:
        # Only who has the goods before him judges these; the exporter takes the answer as it is.
        if received > held.body["expires_on"]:
            detail = f"the certificate expired on {held.body['expires_on']}, got {received}"
            yield finding("KP-F-004", "/received_on", detail)
        if not body["seals_intact"]:
            yield finding("KP-F-005", "/seals_intact", "expected true, got false")


def _figures(value: Any) -> Any:
    """What counts in a quotation: amounts as numbers, headings, names; not how lines are described."""
    if isinstance(value, list | tuple):
        return [_figures(item) for item in value]
    if not isinstance(value, dict):
        return value
    told = {name: value[name] for name in ("hs", "name", "country") if name in value}
    amounts = {name: Decimal(value[name]) for name in ("carats", "value_usd") if name in value}
    return told | amounts
