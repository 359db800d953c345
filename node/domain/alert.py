"""Rules of alerts between authorities: raised, confirmed, denied, withdrawn (domain brief 2.8).

One table says who may say what of an alert, and when.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from node.documents import Content
from node.domain.context import Context
from node.domain.facts import Alert
from node.errors import Finding, finding
from node.ids import participant_of

SUBJECTS = (
    "forged", "stolen-goods", "lost-certificate", "stolen-blanks", "invalidated",
    "missing-shipment",
)  # fmt: skip

RAISED = "raised"


@dataclass(frozen=True, slots=True)
class Saying:
    """What may be said of an alert.

    Attributes:
        who: ``raiser``; ``participant``, for another authority of the number's own one; ``any``.
        sources: The standings in which it may be said.
        target: The standing it leads to; None leaves it.
    """

    who: str
    sources: tuple[str, ...]
    target: str | None


SAYINGS = {
    "withdrawn": Saying("raiser", (RAISED, "confirmed"), "withdrawn"),
    "confirmed": Saying("participant", (RAISED, "denied"), "confirmed"),
    "denied": Saying("participant", (RAISED, "confirmed"), "denied"),
    "sighted": Saying("any", (RAISED, "confirmed"), None),
}


def numbers(document: Content, _: Context) -> Iterator[Finding]:
    """KP-W-003: a range is one of a single participant, in order."""
    first, last = (document.body["numbers"][end] for end in ("first", "last"))
    if len(first) != len(last) or first[:2] != last[:2] or last < first:
        detail = f"expected as long as {first}, the same letters and not before it, got {last}"
        yield finding("KP-W-003", "/numbers/last", detail)


def references(document: Content, context: Context) -> Iterator[Finding]:
    """KP-W-004 to KP-W-006: an alert begins by itself; all else is said of one that is held."""
    assert context.facts is not None
    says = document.body["says"]
    if says == RAISED:
        if document.re:
            yield finding("KP-W-004", "", f"an alert answers nothing, got {', '.join(document.re)}")
        return
    held = context.facts.alert(document.re[0]) if len(document.re) == 1 else None
    told = document.body["numbers"]
    if held is None or (told["first"], told["last"]) != (held.first, held.last):
        detail = (
            f"no alert on {told['first']} to {told['last']} is held as {', '.join(document.re)}"
        )
        yield finding("KP-W-004", "", detail)
        return
    saying = SAYINGS[says]
    if not _may(saying.who, document.iss, held):
        detail = f"{says} is for {_WHO[saying.who]}; {held.iss} raised it, got {document.iss}"
        yield finding("KP-W-005", "/says", detail)
    elif held.standing == "confirmed" and says == "withdrawn" and not _is_own(held):
        detail = f"the participant {held.first[:2]} has confirmed it: only it can deny it"
        yield finding("KP-W-006", "/says", detail)
    elif held.standing not in saying.sources:
        yield finding("KP-W-006", "/says", f"the alert is {held.standing}: not to be {says} now")


_WHO = {
    "raiser": "who raised it",
    "participant": "the participant whose numbers are meant",
    "any": "anyone",
}


def _is_own(held: Alert) -> bool:
    return participant_of(held.iss) == held.first[:2]


def _may(who: str, iss: str, held: Alert) -> bool:
    if who == "raiser":
        return iss == held.iss
    return who == "any" or (participant_of(iss) == held.first[:2] and iss != held.iss)
