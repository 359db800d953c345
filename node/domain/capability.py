"""What an authority's own profile lets it do, and who may sign in its name (Order 269 article 19)."""

from collections.abc import Iterator
from datetime import UTC, date, datetime

from node.documents import Content
from node.domain.context import Context
from node.domain.kinds import CERTIFICATE, NAMED
from node.errors import Finding, finding

CAPABILITIES = {
    CERTIFICATE.name: "issue",
    "confirmation": "confirm",
    "technical-certificate": "technical-certificates",
}
"""The capability that a kind needs."""


def capable(document: Content, context: Context) -> Iterator[Finding]:
    """KP-A-007, KP-A-008: the issuer's profile of the day allows the kind, and knows who signs."""
    if document.kind == CERTIFICATE.name:
        day = date.fromisoformat(document.body["issued_on"])
    else:
        day = datetime.fromtimestamp(document.iat, UTC).date()
    rules = context.reference.profile(document.iss, day)
    needed = CAPABILITIES[document.kind]
    if rules.capabilities is not None and needed not in rules.capabilities:
        detail = f"the profile of {document.iss} does not say {needed} on {day}"
        yield finding("KP-A-007", "", detail)
    if rules.signatories is None:
        return
    members = (NAMED[document.kind].speaker, *(["validated_by"] if needed == "issue" else []))
    for member in members:
        officer = document.body[member].get("officer")
        if officer not in rules.signatories:
            detail = f"{officer or 'nobody named'} is no signatory of {document.iss} on {day}"
            yield finding("KP-A-008", f"/{member}/officer", detail)
