"""The delivery worker of one peer: keeps trying for ever, and checks what it is told.

It pushes what waits; from a peer that cannot call, it first fetches what waits there.
"""

import asyncio
import contextlib
import time
from dataclasses import dataclass
from random import Random, SystemRandom
from typing import Any

import structlog

from node.authority import OwnAuthority
from node.errors import (
    LedgerUnavailableError,
    LogBehindError,
    NodeError,
    PeerUnreachableError,
)
from node.exchange import backoff
from node.exchange.acknowledge import InvalidReceiptError
from node.exchange.client import PeerClient
from node.exchange.fetch import Fetcher
from node.exchange.lease import Lease, Leased
from node.exchange.push import Pusher
from node.exchange.refusal import PeerRefusedError
from node.ids import Authority
from node.ledger import deliveries, peers, streams
from node.ledger.database import Transaction
from node.ledger.deliveries import Delivery, Due

RECHECK_S = 1.0
"""After a round that another process had; it may be over by then."""

HURRY_S = 10.0
"""A peer that is in contact is tried at once, but not at each of its bundles: it may be one that
calls and cannot be called."""

UNRECORDED_S = 10.0
"""After a failure that could not even be written down: a full disk does not mend in a second."""

IDLE_POLL_S = 60.0
PULL_POLL_S = 20.0
"""How often a peer that cannot call is asked whether something waits there."""

HEALTHY_AT_ONCE, SICK_AT_ONCE = 16, 4
"""Rounds at once, of peers in good standing and of those whose last round failed: sick ones wait
for each other only."""


log = structlog.get_logger()


class Slots:
    """How many rounds of a node run at once; what fails does not take the place of what works."""

    def __init__(self) -> None:
        self._healthy = asyncio.Semaphore(HEALTHY_AT_ONCE)
        self._sick = asyncio.Semaphore(SICK_AT_ONCE)

    def of(self, failures: int) -> asyncio.Semaphore:
        """The places for a peer with so many failures in a row."""
        return self._sick if failures else self._healthy


@dataclass(frozen=True, slots=True)
class Round:
    """What one exchange round with a peer came to.

    Attributes:
        delivered, bundles: How much was acknowledged.
        fetched: Documents that were pulled.
        error: None if it went well.
        retry_s: After an error, when to try again.
        busy: Whether another process was delivering to the peer, so that nothing was done here.
    """

    delivered: int = 0
    bundles: int = 0
    fetched: int = 0
    error: str | None = None
    retry_s: float = 0.0
    busy: bool = False


class Courier:
    """Delivers to one peer; at most one bundle of a stream is in flight (a lease row).

    Args:
        own: The sender.
        peer: The recipient.
        client: HTTP to the recipient.
        holder: What kind of process this is, for the lease.
        pulls: Whether the peer cannot call, so that its bundles are fetched.
        slots: Shared by the couriers of a node.
        random: Source of jitter.
    """

    def __init__(
        self,
        own: OwnAuthority,
        peer: Authority,
        client: PeerClient,
        holder: str,
        *,
        pulls: bool = False,
        slots: Slots | None = None,
        random: Random | None = None,
    ) -> None:
        self._own = own
        self._peer = peer
        self._pusher = Pusher(own, peer, client)
        self._fetcher = Fetcher(own, peer, client) if pulls else None
        self._slots = slots or Slots()
        self._random = random or SystemRandom()
        self._lease = Lease(own, peer, holder)
        self._log: int | None = None  # of the peer, as it was when it was last looked at
        self._unmet = True  # the last failure came before the peer had answered anything
        self._asked_to_wait = False
        self._wake = asyncio.Event()
        self._hurry = False
        self._may_hurry_at = 0.0

    @property
    def asks(self) -> bool:
        """Whether there is something to ask the peer, even if nothing waits for it."""
        return self._fetcher is not None or not self._pusher.greeted

    def wake(self, *, hurry: bool = False) -> None:
        """Look for work now.

        In a hurry (the peer has just been in contact) the wait is cut short, unless the peer itself
        has asked for it.
        """
        self._hurry = self._hurry or hurry
        self._wake.set()

    async def run(self) -> None:
        """Deliver until cancelled; a failure is written down and tried again later."""
        try:
            await self._run()
        finally:
            self._lease.drop()

    async def _run(self) -> None:
        beat_at = time.monotonic() + self._random.uniform(0, backoff.FIRST_HEARTBEAT_S)
        longest = backoff.FIRST_HEARTBEAT_S  # a pause from before the start is not sat out
        while True:
            self._wake.clear()
            try:
                due, pause = await self._due()
            except LedgerUnavailableError as unavailable:
                log.error("ledger unavailable", peer=self._peer, error=str(unavailable))
                due, pause = Due(), UNRECORDED_S
            if self._log not in (None, due.log):
                self._pusher.greeted = False  # it has lost entries, and may lack what it had
            self._log = due.log
            pause = min(pause, longest)
            heartbeat = time.monotonic() >= beat_at
            if due.paused:
                pause = IDLE_POLL_S
            elif pause <= 0 and not (due.work or self.asks or heartbeat):
                pause = self._idle_s(beat_at)
            elif pause <= 0:
                longest = backoff.CAP_S
                async with self._slots.of(due.failures):
                    done = await self.round(heartbeat=heartbeat, keep=True)
                if done.error is None and (heartbeat or done.bundles):
                    beat_at = time.monotonic() + backoff.heartbeat_s(self._random)
                pause = RECHECK_S if done.busy else self._idle_s(beat_at)
                pause = pause if done.error is None else min(done.retry_s, backoff.CAP_S)
            # Not wait_for: before Python 3.12 it loses a cancellation that comes with the event.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(max(pause, 0.0), IDLE_POLL_S)):
                    await self._wake.wait()

    def _idle_s(self, beat_at: float) -> float:
        until_beat = beat_at - time.monotonic()
        if self._fetcher is None:
            return until_beat
        return min(until_beat, backoff.spread(PULL_POLL_S, self._random))

    async def round(self, *, heartbeat: bool, keep: bool = False) -> Round:
        """Deliver everything that waits; with `heartbeat` at least an empty bundle.

        With `keep` the lease is kept for a moment.

        Never raises for what a peer does or the machine lacks; the error is in the result and, as
        far as that can be written, in the database.
        """
        delivered = bundles = fetched = 0
        not_fetched: PeerRefusedError | None = None
        try:
            async with self._lease.held(keep=keep) as leased:
                if leased is not Leased.MINE:
                    return Round(busy=leased is Leased.BUSY)
                if self._fetcher is not None:
                    try:
                        fetched = await self._fetch(self._fetcher, heartbeat=heartbeat)
                    except PeerRefusedError as error:
                        not_fetched = error  # what goes there does not wait for what comes
                elif not self._pusher.greeted:
                    await self._greet()
                more = True
                while more and (
                    sent := await self._pusher.deliver(heartbeat=heartbeat and not bundles)
                ):
                    outgoing, due = sent
                    delivered, bundles = delivered + outgoing.count, bundles + 1
                    more = due.work and not due.paused
                if more:
                    await self._pusher.spot_checks()
            if not_fetched is not None:
                raise not_fetched
        except Exception as error:  # whatever it is, the courier must live to try again
            if not isinstance(error, NodeError):
                log.exception("courier", peer=self._peer)
            return Round(delivered, bundles, fetched, str(error), await self._failed(error))
        if fetched and not bundles:
            await asyncio.to_thread(self._own.ledger.write, self._well)
        return Round(delivered, bundles, fetched)

    async def _greet(self) -> dict[str, Any]:
        position = await self._pusher.greet()
        if self._unmet:  # what it was waited for is over; what fails from now on is another thing
            await asyncio.to_thread(self._own.ledger.write, self._well)
            self._unmet = False
        return position

    async def _fetch(self, fetcher: Fetcher, *, heartbeat: bool) -> int:
        """Pull first: a receipt that a former round could not post goes before anything newer."""
        position = await self._greet()
        try:
            return await fetcher.fetch(position, heartbeat=heartbeat)
        except PeerRefusedError as error:
            # As bad as a proof from elsewhere: it has not been told of this log yet.
            if error.code not in ("proof-needed", "bad-proof"):
                raise
        await self._pusher.tell_what_is_held()
        return await fetcher.fetch(position, heartbeat=heartbeat)

    def _well(self, tx: Transaction) -> None:
        peers.update(tx, self._peer, attempts=0, next_try=0, last_error=None, last_step=None)

    async def _due(self) -> tuple[Due, float]:
        """How it stands, and the seconds to wait; in a hurry none, or not many."""
        due = await asyncio.to_thread(
            self._own.ledger.read, lambda tx: deliveries.due(tx, self._peer)
        )
        if due.paused:
            self._lease.drop()
        # Never beyond the cap: a clock that was wrong may have written any moment.
        pause = min(float(due.next_try - self._own.now_s()), backoff.CAP_S)
        if not self._hurry or self._asked_to_wait:
            self._hurry = False
            return due, pause
        now = time.monotonic()
        if now >= self._may_hurry_at:
            self._hurry, self._may_hurry_at = False, now + HURRY_S
            return due, 0.0
        return due, min(pause, self._may_hurry_at - now)

    async def _failed(self, error: Exception) -> float:
        """Write a failure down; returns the seconds until the next try."""
        retry_after_s = getattr(error, "retry_after_s", None)
        by_proxy = getattr(error, "by_proxy", False)
        # One that was paused and calls is so no longer; any other wish to wait is respected.
        paused = isinstance(error, PeerRefusedError) and error.code == "paused"
        self._asked_to_wait = retry_after_s is not None and not by_proxy and not paused
        self._unmet = not self._pusher.greeted
        if by_proxy or isinstance(error, PeerUnreachableError | InvalidReceiptError):
            self._pusher.greeted = False  # a small question first, then the bundle
        at_cap = getattr(error, "at_cap", False) or isinstance(error, LogBehindError)
        text = str(error).encode("utf-8", "replace").decode()

        def write(tx: Transaction) -> float:
            state = peers.state(tx, self._peer)
            attempts = (state.attempts if state else 0) + 1
            pause = backoff.delay_s(attempts, self._random, retry_after_s)
            pause = backoff.CAP_S if at_cap else pause
            next_try = self._own.now_s() + int(pause)
            step, clock_s = _step(error), self._pusher.clock_s
            peers.update(
                tx, self._peer,
                attempts=attempts, next_try=next_try, last_error=text, last_step=step,
                clock_s=clock_s if clock_s is not None else (state.clock_s if state else None),
            )  # fmt: skip
            last = streams.sent_place(tx, self._peer)
            first = (state.acknowledged if state else 0) + 1
            now_s = self._own.now_s()
            deliveries.note(
                tx, Delivery(self._peer, now_s, now_s, 1, first, last.position if last else 0,
                             step, text, None),
            )  # fmt: skip
            return pause

        try:
            pause = await asyncio.to_thread(self._own.ledger.write, write)
        except LedgerUnavailableError as unavailable:
            log.error("ledger unavailable", peer=self._peer, error=str(unavailable))
            return UNRECORDED_S
        log.warning("not delivered", peer=self._peer, error=text, next_try_s=round(pause, 1))
        return pause


def _step(error: Exception) -> str:
    """Where a failure was, in a word; those of the way are `node.exchange.probe`'s."""
    if isinstance(error, PeerUnreachableError):
        return error.step
    if isinstance(error, PeerRefusedError):
        return "answer" if error.by_proxy else "refused"
    if isinstance(error, InvalidReceiptError):
        return "receipt"
    return "this node"
