"""The order of checks of a document's content (protocol section 6): steps as data.

The first failing step names the code; all findings of that step are reported. Steps that need a
ledger run inside the transaction that records the document, the others can run before it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from node.documents import Content
from node.domain import (
    alert,
    answering,
    capability,
    certificate,
    inquiry,
    own_profile,
    succession,
)
from node.domain.context import Context
from node.domain.kinds import CERTIFICATE
from node.errors import Finding, ordered

Step = Callable[[Content, Context], Iterator[Finding]]


@dataclass(frozen=True, slots=True)
class Steps:
    """The steps of a kind, in order, and which of them need a ledger.

    Attributes:
        alone: Those that need none, each with its place in the order; `asking` the others.
    """

    order: tuple[Step, ...]
    with_ledger: frozenset[Step]
    alone: tuple[tuple[int, Step], ...] = field(init=False)
    asking: tuple[tuple[int, Step], ...] = field(init=False)

    def __post_init__(self) -> None:
        for name, asks in (("alone", False), ("asking", True)):
            steps = enumerate(self.order)
            chosen = tuple((at, s) for at, s in steps if (s in self.with_ledger) is asks)
            object.__setattr__(self, name, chosen)


def _answering(*own: Step) -> Steps:
    """The steps of a kind that answers a certificate."""
    order = (answering.authority_matches, *own, answering.references, answering.alerts)
    return Steps(order, frozenset({answering.references, answering.alerts}))


STEPS: dict[str, Steps] = {
    CERTIFICATE.name: Steps(
        (
            certificate.authority_matches,
            capability.capable,
            certificate.number,
            certificate.number_is_free,
            certificate.participants,
            certificate.route,
            certificate.dates,
            certificate.headings,
            certificate.sums,
            certificate.origin,
            certificate.declaration,
            certificate.sources,
            certificate.alerts,
            certificate.restrictions,
        ),
        frozenset({certificate.number_is_free, certificate.alerts}),
    ),
    "confirmation": _answering(
        answering.not_ahead,
        capability.capable,
        answering.arrival,
        certificate.headings,
        certificate.sums,
    ),
    "discrepancy": _answering(answering.not_ahead),
    "resolution": _answering(answering.not_ahead),
    "amendment": _answering(answering.not_ahead),
    "technical-certificate": _answering(
        answering.not_ahead, capability.capable, answering.technical_dates
    ),
    "return": _answering(answering.arrival, answering.not_ahead),
    "revocation": _answering(answering.not_ahead),
    "inquiry": Steps(
        (answering.authority_matches, answering.not_ahead, inquiry.route, inquiry.repeats),
        frozenset({inquiry.repeats}),
    ),
    "answer": Steps(
        (answering.authority_matches, answering.not_ahead, inquiry.answers),
        frozenset({inquiry.answers}),
    ),
    "alert": Steps(
        (answering.authority_matches, answering.not_ahead, alert.numbers, alert.references),
        frozenset({alert.references}),
    ),
    "profile": Steps(
        (
            answering.authority_matches,
            answering.not_ahead,
            own_profile.about_itself,
            own_profile.pattern,
            own_profile.spans,
        ),
        frozenset(),
    ),
    "succession": Steps(
        (answering.authority_matches, answering.not_ahead, succession.own_log), frozenset()
    ),
    "record": _answering(),
}


class Judgement(NamedTuple):
    """The first step that failed and its findings; `failed_at` is None when none did."""

    failed_at: int | None
    findings: tuple[Finding, ...] = ()


PASSED = Judgement(None)


def judge_content(document: Content, context: Context) -> Judgement:
    """Run the steps that need no ledger."""
    for at, step in STEPS[document.kind].alone:
        if found := list(step(document, context)):
            return Judgement(at, ordered(found))
    return PASSED


def judge_with_ledger(document: Content, context: Context, before: Judgement) -> Judgement:
    """Run the steps that need the ledger, as far as they come before the failure known already.

    Args:
        document: The document.
        context: Its `facts` must be set.
        before: What `judge_content` found.
    """
    for at, step in STEPS[document.kind].asking:
        if before.failed_at is not None and at > before.failed_at:
            break
        if found := list(step(document, context)):
            return Judgement(at, ordered(found))
    return before
