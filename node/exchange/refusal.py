"""What a peer answered instead of what was asked for, and when to try again (protocol rule 5)."""

from node.errors import NodeError
from node.exchange.client import Answer

RETRIED = frozenset({401, 408, 425, 429})
"""Client errors that mend themselves: keys, clocks and rates change."""


class PeerRefusedError(NodeError):
    """A peer did not do as asked.

    Args:
        message: In words.
        code: Of its problem, or of what was wrong with what it sent.
        retry_after_s: What it asked for.
        at_cap: Whether it will not mend itself soon.
        by_proxy: Whether it was not the peer's node that answered, but something in front of it.
    """

    def __init__(
        self,
        message: str,
        code: str,
        *,
        retry_after_s: float | None = None,
        at_cap: bool = False,
        by_proxy: bool = False,
    ) -> None:
        super().__init__(message, code=code)
        self.retry_after_s = retry_after_s
        self.at_cap = at_cap
        self.by_proxy = by_proxy


def _plain(told: object) -> str:
    """A peer's words, without what a terminal would obey."""
    return "".join(c if c.isprintable() else "?" for c in str(told)[:200])


def is_transient(answer: Answer) -> bool:
    """Whether the same question may be answered otherwise a little later."""
    return answer.status >= 500 or answer.status in RETRIED


def refusal(answer: Answer, asked: str = "") -> PeerRefusedError:
    """An answer that is none, as an error.

    Args:
        answer: The answer.
        asked: What for, where that is not plain.
    """
    problem = answer.json()
    code, detail = _plain(problem.get("code", "")), _plain(problem.get("detail", ""))
    text = " ".join(part for part in (str(answer.status), code, detail, asked) if part)
    return PeerRefusedError(
        text,
        code or "no-answer",
        retry_after_s=answer.retry_after_s,
        # A 409 that is not signed is a reason to try later; other client errors are not.
        at_cap=not (is_transient(answer) or answer.status == 409),
        by_proxy=answer.status >= 500 and not code,
    )
