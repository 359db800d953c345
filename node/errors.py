"""What the node raises on purpose. Errors know nothing of HTTP or exit codes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from node.rulebook import RULES

MAX_FINDINGS = 20
"""Findings named for one document (protocol section 3, receipts)."""

MAX_DETAIL = 200
"""Characters of a finding's detail (protocol section 3, receipts)."""

MAX_POINTER = 200
"""Characters of a pointer; the names in it are the sender's and could be of any length."""


class NodeError(Exception):
    """Base of everything raised on purpose; `code` is stable, the text is for people."""

    code = "internal"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong with a document.

    Attributes:
        code: Stable code of protocol section 7.
        rule: Rule id, see `node.rulebook`.
        pointer: JSON Pointer relative to the body (or to the shipment), ``""`` for the whole.
        detail: Both values, for people; at most 200 characters.
    """

    code: str
    rule: str
    pointer: str
    detail: str

    def as_json(self) -> dict[str, Any]:
        """The members of a receipt's `errors`; the pointer only where there is one."""
        found = {"code": self.code, "rule": self.rule, "detail": self.detail}
        return found | ({"pointer": self.pointer} if self.pointer else {})


def finding(rule: str, pointer: str, detail: str) -> Finding:
    """A finding under a rule of the rulebook; an over-long detail is cut, so is a pointer."""
    while len(pointer) > MAX_POINTER:
        pointer = pointer.rpartition("/")[0]
    if len(detail) > MAX_DETAIL:
        detail = detail[: MAX_DETAIL - 1] + "…"
    return Finding(RULES[rule].code, rule, pointer, detail)


def ordered(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Findings without repetition, by pointer, at most 20 (protocol section 6)."""
    if not findings:
        return ()
    unique = {(f.code, f.pointer): f for f in reversed(findings)}
    return tuple(sorted(unique.values(), key=lambda f: (f.pointer, f.code))[:MAX_FINDINGS])


class RefusedError(NodeError):
    """A document or shipment is refused; the only failure of verification."""

    def __init__(self, findings: Sequence[Finding], *, index: int = 0, number: str | None = None):
        self.findings = ordered(findings)
        self.index = index
        self.number = number
        first = self.findings[0]
        super().__init__(f"{first.code}: {first.detail}", code=first.code)


class RefusedShipmentsError(NodeError):
    """Shipments of one file are refused, hence all of it.

    `refusals` has one for each shipment that failed; the ledger is asked only once all have
    passed what can be judged without it.
    """

    def __init__(self, refusals: Sequence[RefusedError]) -> None:
        super().__init__(str(refusals[0]), code=refusals[0].code)
        self.refusals = tuple(refusals)


STATE_CODES = frozenset({"number-conflict", "wrong-state", "source-exceeded"})
"""Refusals that come from what the ledger holds, not from what was handed in."""


def is_conflict(codes: Sequence[str]) -> bool:
    """Whether a refusal comes from what the ledger holds alone."""
    return all(code in STATE_CODES for code in codes)


def errors_as_json(error: NodeError) -> list[dict[str, Any]]:
    """What is wrong, for programs: one a finding, with the place of its shipment, from 0."""
    refusals: Sequence[RefusedError] = ()
    if isinstance(error, RefusedShipmentsError):
        refusals = error.refusals
    elif isinstance(error, RefusedError):
        refusals = (error,)
    found = [
        {
            "code": one.code,
            "pointer": one.pointer,
            "detail": one.detail,
            "rule": one.rule,
            "index": refusal.index,
            "number": refusal.number,
        }
        for refusal in refusals
        for one in refusal.findings
    ]
    plain = {"code": error.code, "pointer": "", "detail": str(error), "rule": None}
    return found or [{**plain, "index": 0, "number": None}]


def refuse(rule: str, detail: str, pointer: str = "") -> RefusedError:
    """A refusal with a single finding."""
    return RefusedError([finding(rule, pointer, detail)])


class ProblemError(NodeError):
    """A bundle, receipt or request is answered with a problem (protocol section 4).

    Args:
        code: One of the codes of section 4.
        detail: For people; never names another peer.
        members: Further members of the problem, e.g. ``held`` or ``statement``.
    """

    def __init__(self, code: str, detail: str, members: Mapping[str, Any] | None = None) -> None:
        super().__init__(detail, code=code)
        self.members = dict(members or {})


class ConfigError(NodeError):
    """`peers.toml`, a key file or the home is not usable as it is."""

    code = "bad-config"


class NotFoundError(NodeError):
    """What was asked for is not held here."""

    code = "not-found"


class LogBehindError(NodeError):
    """The ledger lacks entries it has already vouched for; nothing may be signed."""

    code = "log-behind"


class LedgerUnavailableError(NodeError):
    """The database cannot be used right now: another process holds it, or the disk is full."""

    code = "ledger-unavailable"


class PeerUnreachableError(NodeError):
    """A peer gave no usable answer; try later.

    Args:
        message: In words.
        step: Where the way breaks off, as `kpnode peer probe` names it.
    """

    code = "peer-unreachable"

    def __init__(self, message: str, step: str = "answer") -> None:
        super().__init__(message)
        self.step = step
