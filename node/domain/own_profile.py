"""Rules of a profile: what an authority announces about its own certificates."""

import re
from collections.abc import Iterator
from typing import Any

from node.documents import Content
from node.domain.context import Context
from node.domain.profiles import compiled, fits
from node.errors import Finding, finding
from node.ids import participant_of


def about_itself(document: Content, _: Context) -> Iterator[Finding]:
    """KP-P-001: a profile is about the participant of who signed it."""
    expected, told = participant_of(document.iss), document.body["participant"]
    if told != expected:
        yield finding(
            "KP-P-001", "/participant", f"expected {expected} of {document.iss}, got {told}"
        )


def pattern(document: Content, _: Context) -> Iterator[Finding]:
    """KP-P-002: the pattern can be read, and the ranges announced have it."""
    body = document.body
    try:
        compiled(body["number_pattern"])
    except (re.error, OverflowError) as error:
        yield finding("KP-P-002", "/number_pattern", f"{body['number_pattern']}: {error}")
        return

    if not body["number_pattern"].startswith((body["participant"], "[A-Z]{2}")):
        detail = f"expected {body['participant']} or [A-Z]{{2}} first, got {body['number_pattern']}"
        yield finding("KP-P-002", "/number_pattern", detail)
    for at, one in enumerate(body.get("ranges", ())):
        where = f"/ranges/{at}"
        for end in ("first", "last"):
            if not fits(body["participant"], compiled(body["number_pattern"]), one[end]):
                detail = f"{one[end]} has not the form {body['number_pattern']} of the participant"
                yield finding("KP-P-002", f"{where}/{end}", detail)
        if len(one["first"]) != len(one["last"]) or one["last"] < one["first"]:
            detail = f"expected as long as {one['first']} and not before it, got {one['last']}"
            yield finding("KP-P-002", f"{where}/last", detail)


def spans(document: Content, _: Context) -> Iterator[Finding]:
    """KP-P-003: what begins ends on that day or later."""
    for member in ("ranges", "signatories"):
        for at, one in enumerate(document.body.get(member, ())):
            if _ends_before(one):
                detail = f"expected {one['from']} or later, got {one['until']}"
                yield finding("KP-P-003", f"/{member}/{at}/until", detail)


def _ends_before(span: Any) -> bool:
    return "from" in span and "until" in span and span["until"] < span["from"]
