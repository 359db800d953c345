"""The life of a certificate on either side, as one table of transitions.

An event is a document or record that entered the log, or what a peer's receipt says of the
certificate. A state changes by nothing else: folding the events of a log in order gives the states.
The diagram in the docs is generated from here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

DRAFTING = "drafting"
EXPORTER = "exporter"
IMPORTER = "importer"

MEANINGS: dict[str, str] = {
    # Drafting, at the exporter
    "draft": "number reserved, nothing issued yet",
    "inspected before export": "drafted goods were inspected; to be issued or withdrawn",
    "withdrawn": "the draft was given up; its number is void",
    # Exporter
    "issued": "signed and queued; no receipt yet",
    "sealed": "goods and certificate sealed; no receipt yet",
    "delivered": "held and accepted by the importer",
    "refused": "refused by the importer's node",
    "confirmed": "the goods arrived as issued",
    "confirmed as amended": "the goods arrived, with the values agreed",
    "lapsed": "the goods came back; the certificate is no longer good",
    # Importer
    "announced": "certificate held; goods not yet here",
    "presented without announcement": "the paper is here, its document is not",
    "admitted on paper": "goods were admitted with the paper; its document is not here",
    "presented": "goods and paper are here",
    "inspected": "goods were inspected",
    "admitted": "arrival confirmed to the exporter",
    "admitted as amended": "arrival confirmed with the values agreed",
    "seized": "seized under a case reference",
    "at the laboratory": "sent for scientific examination",
    "returned": "the exporter has the goods back; the certificate has lapsed",
    # Both
    "disputed": "goods and certificate differ; the exporter must decide",
    "consented": "the exporter consents to the values found; the importer amends",
    "contested": "the exporter does not consent; goods go back, or the dispute is settled",
    "amended": "values agreed; the arrival is to be confirmed with them",
    "return ordered": "goods go back with a technical certificate",
    "void": "void by decision of the exporter",
    "replaced": "replaced by another certificate",
    "lost": "reported lost by the exporter",
    "stolen": "reported stolen by the exporter",
    "cancelled": "cancelled by the exporter",
}
ON_PAPER, ADMITTED_ON_PAPER = "presented without announcement", "admitted on paper"
"""States of goods whose certificate's document is not here."""

_ARRIVING = ("announced", "presented", "inspected")
HOLDABLE = (*_ARRIVING, "disputed", "contested", "consented", "amended")
"""States of the importer's side in which goods may be held; a release leads back to them."""


def on_hold(state: str) -> str:
    """The state of goods that are held; what the exporter decides meanwhile is not lost."""
    return f"held, {state}"


HELD = tuple(map(on_hold, HOLDABLE))
MEANINGS |= {
    on_hold(state): f"held by the importing authority; {MEANINGS[state]}"
    for state in (ON_PAPER, *HOLDABLE)
}
REVOKED = ("void", "replaced", "lost", "stolen", "cancelled")


@dataclass(frozen=True, slots=True)
class Transition:
    """What an event does to a certificate on one side.

    Attributes:
        side: ``drafting``, ``exporter`` or ``importer``.
        sources: The states it is allowed in.
        event: See `event_of`.
        target: The state it leads to; None leaves the state as it is.
        who: Who may bring it about.
        rule: The rule that allows it there, broken elsewhere.
    """

    side: str
    sources: tuple[str, ...]
    event: str
    target: str | None
    who: str
    rule: str


_SENT = ("issued", "sealed", "delivered", "refused")
_OPEN_HERE = (*HOLDABLE, *HELD)
_X, _I, _PEER = "exporting authority", "importing authority", "the importer's node"

TRANSITIONS: tuple[Transition, ...] = (
    # Drafting
    Transition(DRAFTING, ("draft", "inspected before export"), "record:export-inspection", "inspected before export", _X, "KP-N-002"),
    Transition(DRAFTING, ("draft", "inspected before export"), "record:withdrawal", "withdrawn", _X, "KP-N-002"),
    Transition(DRAFTING, ("draft", "inspected before export"), "certificate", "issued", _X, "KP-N-002"),
    # Exporter
    Transition(EXPORTER, ("issued", "sealed"), "record:sealing", "sealed", _X, "KP-L-001"),
    Transition(EXPORTER, ("delivered", "refused"), "record:sealing", None, _X, "KP-L-001"),
    Transition(EXPORTER, ("issued", "sealed", "refused"), "receipt:accepted", "delivered", _PEER, "KP-L-002"),
    Transition(EXPORTER, ("issued", "sealed"), "receipt:rejected", "refused", _PEER, "KP-L-002"),
    Transition(EXPORTER, _SENT, "confirmation:as-issued", "confirmed", _I, "KP-F-002"),
    Transition(EXPORTER, (*_SENT, "contested"), "discrepancy", "disputed", _I, "KP-L-003"),
    Transition(EXPORTER, ("disputed",), "resolution:consent", "consented", _X, "KP-L-004"),
    Transition(EXPORTER, ("disputed",), "resolution:refusal", "contested", _X, "KP-L-004"),
    Transition(EXPORTER, ("consented",), "amendment", "amended", _I, "KP-L-005"),
    Transition(EXPORTER, ("amended",), "confirmation:as-amended", "confirmed as amended", _I, "KP-F-002"),
    Transition(EXPORTER, (*_SENT, "disputed", "contested", "consented", "amended"), "technical-certificate:return", "return ordered", _I, "KP-L-006"),
    Transition(EXPORTER, _SENT, "technical-certificate:scientific", None, _I, "KP-L-006"),
    Transition(EXPORTER, ("return ordered",), "return", "lapsed", _X, "KP-L-007"),
    *(Transition(EXPORTER, (*_SENT, "disputed", "contested"), f"revocation:{reason}", reason, _X, "KP-L-008") for reason in REVOKED),
    # Importer
    Transition(IMPORTER, (ON_PAPER, ADMITTED_ON_PAPER), "certificate", "presented", _X, "KP-L-009"),
    Transition(IMPORTER, (on_hold(ON_PAPER),), "certificate", on_hold("presented"), _X, "KP-L-009"),
    Transition(IMPORTER, ("seized",), "certificate", None, _X, "KP-L-009"),
    Transition(IMPORTER, (ON_PAPER,), "record:admission", ADMITTED_ON_PAPER, _I, "KP-L-009"),
    Transition(IMPORTER, ("announced",), "record:presentation", "presented", _I, "KP-L-009"),
    Transition(IMPORTER, _ARRIVING, "record:inspection", "inspected", _I, "KP-L-010"),
    Transition(IMPORTER, _ARRIVING, "confirmation:as-issued", "admitted", _I, "KP-F-002"),
    Transition(IMPORTER, (*_ARRIVING, "contested"), "discrepancy", "disputed", _I, "KP-L-003"),
    Transition(IMPORTER, ("disputed",), "resolution:consent", "consented", _X, "KP-L-004"),
    Transition(IMPORTER, ("disputed",), "resolution:refusal", "contested", _X, "KP-L-004"),
    Transition(IMPORTER, (on_hold("disputed"),), "resolution:consent", on_hold("consented"), _X, "KP-L-004"),
    Transition(IMPORTER, (on_hold("disputed"),), "resolution:refusal", on_hold("contested"), _X, "KP-L-004"),
    Transition(IMPORTER, ("consented",), "amendment", "amended", _I, "KP-L-005"),
    Transition(IMPORTER, ("amended",), "confirmation:as-amended", "admitted as amended", _I, "KP-F-002"),
    Transition(IMPORTER, _OPEN_HERE, "technical-certificate:return", "return ordered", _I, "KP-L-006"),
    Transition(IMPORTER, ("presented", "inspected"), "technical-certificate:scientific", "at the laboratory", _I, "KP-L-006"),
    Transition(IMPORTER, ("at the laboratory",), "record:laboratory-return", "presented", _I, "KP-L-010"),
    Transition(IMPORTER, ("return ordered",), "return", "returned", _X, "KP-L-007"),
    *(Transition(IMPORTER, (state,), "record:hold", on_hold(state), _I, "KP-L-011") for state in (ON_PAPER, *HOLDABLE)),
    *(Transition(IMPORTER, (on_hold(state),), "record:release", state, _I, "KP-L-011") for state in (ON_PAPER, *HOLDABLE)),
    Transition(IMPORTER, (on_hold(ON_PAPER), *HELD, *REVOKED), "record:seizure", "seized", _I, "KP-L-011"),
    *(Transition(IMPORTER, (*_OPEN_HERE, "at the laboratory"), f"revocation:{reason}", reason, _X, "KP-L-008") for reason in REVOKED),
    *(Transition(IMPORTER, ("seized",), f"revocation:{reason}", None, _X, "KP-L-008") for reason in REVOKED),
)  # fmt: skip

_BY_STATE: dict[tuple[str, str, str], Transition] = {
    (t.side, source, t.event): t for t in TRANSITIONS for source in t.sources
}
_RULE_OF: dict[tuple[str, str], str] = {(t.side, t.event): t.rule for t in TRANSITIONS}

FIRST = {DRAFTING: "draft", EXPORTER: "issued", IMPORTER: "announced"}
"""The state of a draft or certificate when it enters the log."""

_QUALIFIER = {
    "confirmation": "result",
    "resolution": "decision",
    "technical-certificate": "purpose",
    "revocation": "reason",
    "record": "act",
}


def event_of(kind: str, body: Mapping[str, Any]) -> str:
    """The event that a document of a kind is, e.g. ``resolution:consent``."""
    member = _QUALIFIER.get(kind)
    return kind if member is None else f"{kind}:{body[member]}"


def transition(side: str, state: str, event: str) -> Transition | None:
    """What an event does in a state, or None if the state does not allow it."""
    return _BY_STATE.get((side, state, event))


def family(state: str) -> str:
    """What a state is listed under: the state itself, or ``held``."""
    return state.partition(", ")[0]


def unheld(state: str) -> str:
    """The state that goods are held in, or the state itself."""
    return state.partition(", ")[2] or state


FAMILIES = sorted(
    {
        family(state)
        for t in TRANSITIONS
        if t.side != DRAFTING
        for state in (*t.sources, t.target)
        if state and state not in (ON_PAPER, ADMITTED_ON_PAPER)
    }
)


def shown(side: str, stored: str, outcome: str) -> str:
    """The state that is shown: what a receipt says of a certificate changes what is stored not.

    Args:
        side: Whose.
        stored: As its documents and records have left it.
        outcome: ``accepted``, ``duplicate`` or ``rejected`` by the peer's receipt, or ``""``.
    """
    settled = "accepted" if outcome == "duplicate" else outcome
    change = transition(side, stored, f"receipt:{settled}")
    return change.target if change is not None and change.target else stored


def shown_in(wanted: str) -> set[str]:
    """What is shown in a family of states, each as ``SIDE/STORED STATE/OUTCOME``."""
    return {
        f"{side}/{stored}/{outcome}"
        for side in (EXPORTER, IMPORTER)
        for stored in MEANINGS
        for outcome in ("", "accepted", "duplicate", "rejected")
        if family(shown(side, stored, outcome)) == wanted
    }


def of_document(paper: str) -> str:
    """The state of a certificate whose document comes after its paper, which is in a state."""
    change = transition(IMPORTER, paper, "certificate")
    assert change is not None, f"no document comes to what is {paper}"
    return change.target or paper


def rule_of(side: str, event: str) -> str | None:
    """The rule of an event on a side, or None if it never happens there."""
    return _RULE_OF.get((side, event))


def allowed(side: str, state: str) -> list[Transition]:
    """What may come next, in the order of the table."""
    return [t for t in TRANSITIONS if t.side == side and state in t.sources]


def diagram(side: str) -> str:
    """The states of a side as a Mermaid diagram; held and revoked are one node each."""
    starts = [FIRST[side], *([ON_PAPER] if side == IMPORTER else [])]
    lines = ["stateDiagram-v2", *(f"    [*] --> {_node(start)}" for start in starts)]
    for change in TRANSITIONS:
        if change.side == side and change.target is not None:
            revoked = change.target in REVOKED
            label = "revocation" if revoked else change.event.replace(":", " ")
            target = _node(change.target)
            lines += [f"    {_node(source)} --> {target}: {label}" for source in change.sources]
    return "\n".join(dict.fromkeys(lines))


def _node(state: str) -> str:
    return "revoked" if state in REVOKED else family(state).replace(" ", "_")
