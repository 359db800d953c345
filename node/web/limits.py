"""How much one caller may ask at once and in a while; more is answered with 429 (protocol section 4).

Peers are counted once their signature is checked, so nobody can use up another's share. Strangers
are counted by address, and only while they are strangers; a proxy on this machine has one address
for all of them, so loopback is left to its own limits.
"""

import ipaddress
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from node.errors import ProblemError
from node.ids import Authority

RATE, BURST = 50.0, 200.0
"""Requests a second of one peer, and how many may come at once after a quiet time."""

BUNDLES_AT_ONCE = 2
"""Of one peer: a stream has one in flight; the second is the same again after a lost reply."""

OPENING_AT_ONCE = 256
"""First lines that are read at once, of anyone; each holds up to 1 MiB."""

OPENING_OF_ADDRESS = 16
"""The same, of one address that is not loopback."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a body may take; a slow link gets smaller bundles, a hostile one its end.

    Attributes:
        quiet_s: Between two pieces.
        first_line_s: For the first line, or a whole receipt.
        body_s: For a whole body. A full bundle at 14 KiB a second gets through.
    """

    quiet_s: float = 60
    first_line_s: float = 120
    body_s: float = 600


@dataclass(slots=True)
class _Bucket:
    """A token bucket."""

    tokens: float = BURST
    at: float = 0.0

    def take(self, now: float) -> float:
        """Take a token; returns the seconds to wait where there is none."""
        if self.at:
            self.tokens = min(BURST, self.tokens + (now - self.at) * RATE)
        self.at = now
        if self.tokens < 1.0:
            return (1.0 - self.tokens) / RATE
        self.tokens -= 1.0
        return 0.0


@dataclass(slots=True)
class Limits:
    """The counts of one listener; in memory, as they are about the last few seconds.

    Attributes:
        clock: Monotonic seconds.
        loopback_too: Whether addresses of this machine are counted like others.
        patience: How long bodies may take.
    """

    clock: Callable[[], float] = time.monotonic
    loopback_too: bool = False
    patience: Patience = Patience()
    _tokens: dict[str, _Bucket] = field(default_factory=dict)
    _buckets: dict[Authority, _Bucket] = field(default_factory=dict)
    _bundles: dict[Authority, int] = field(default_factory=dict)
    _opening: dict[str, int] = field(default_factory=dict)

    def count(self, peer: Authority) -> None:
        """Count a request of a peer whose signature is checked.

        Raises:
            ProblemError: ``too-many-requests``.
        """
        wait_s = self._buckets.setdefault(peer, _Bucket()).take(self.clock())
        if wait_s > 0:
            raise _too_many(f"at most {RATE:.0f} requests a second", wait_s)

    def count_token(self, token: str) -> None:
        """Count a request with an access token.

        Raises:
            ProblemError: ``too-many-requests``.
        """
        wait_s = self._tokens.setdefault(token, _Bucket()).take(self.clock())
        if wait_s > 0:
            raise _too_many(f"at most {RATE:.0f} requests a second with a token", wait_s)

    @contextmanager
    def opening(self, address: str | None) -> Iterator[None]:
        """While a caller is not known yet and its first line is read.

        Raises:
            ProblemError: ``too-many-requests``.
        """
        name = address or ""
        counted = self.loopback_too or not is_loopback_address(name)
        if sum(self._opening.values()) >= OPENING_AT_ONCE:
            raise _too_many("too many requests at once", 1.0)
        if counted and self._opening.get(name, 0) >= OPENING_OF_ADDRESS:
            raise _too_many("too many requests at once from this address", 1.0)
        with _counted(self._opening, name):
            yield

    @contextmanager
    def bundle(self, peer: Authority) -> Iterator[None]:
        """While the documents of a peer's bundle are read and recorded.

        Raises:
            ProblemError: ``too-many-requests``.
        """
        if self._bundles.get(peer, 0) >= BUNDLES_AT_ONCE:
            raise _too_many("one bundle of a stream at a time", 1.0)
        with _counted(self._bundles, peer):
            yield


@contextmanager
def _counted(counts: dict[Authority, int] | dict[str, int], name: str) -> Iterator[None]:
    table: dict[str, int] = counts  # type: ignore[assignment] # an Authority is a str
    table[name] = table.get(name, 0) + 1
    try:
        yield
    finally:
        table[name] -= 1
        if not table[name]:
            del table[name]


def is_loopback_address(address: str) -> bool:
    """Whether a request comes from this machine."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return not address  # a Unix socket, or a connection that is gone


def _too_many(detail: str, wait_s: float) -> ProblemError:
    return ProblemError("too-many-requests", detail, {"retry_after": max(1, round(wait_s))})
