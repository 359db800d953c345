"""The delivery worker of one peer: keeps trying for ever, and checks what it is told.

It pushes what waits; from a peer that cannot call, it first fetches what waits there.
"""

import asyncio
import contextlib
import os
import secrets
import time
from collections.abc import AsyncIterator
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
from node.exchange import backoff, inspection
from node.exchange.acknowledge import Acknowledger, InvalidReceiptError
from node.exchange.client import Answer, PeerClient, TimedOutError
from node.exchange.fetch import Fetcher, FetchError
from node.exchange.peer_log import Gap, read_proof
from node.exchange.send import Outgoing, Sender
from node.ids import Authority
from node.ledger import peers
from node.ledger.database import Transaction

LEASE_S = 30
"""Renewed while a delivery lasts. What a crashed `serve` held is taken over at the next start."""

RECHECK_S = 1.0
"""After a round that another process had; it may be over by then."""

UNRECORDED_S = 10.0
"""After a failure that could not even be written down: a full disk does not mend in a second."""

MAX_SPOT_CHECKS = 20

IDLE_POLL_S = 60.0
PULL_POLL_S = 20.0
"""How often a peer that cannot call is asked whether something waits there."""

HEALTHY_AT_ONCE, SICK_AT_ONCE = 16, 4
"""Rounds at once, of peers in good standing and of those whose last round failed: sick ones wait
for each other only."""

_RETRIED = frozenset({401, 408, 425, 429})

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


class _FailedError(Exception):
    """What a peer answered with, as a reason to try again.

    Args:
        text: In words.
        retry_after_s: What it asked for.
        at_cap: Whether it will not mend itself soon.
        by_proxy: Whether it was not the peer's node that answered, but something in front of it.
    """

    def __init__(
        self,
        text: str,
        *,
        retry_after_s: float | None = None,
        at_cap: bool = False,
        by_proxy: bool = False,
    ) -> None:
        super().__init__(text)
        self.by_proxy = by_proxy
        self.retry_after_s = retry_after_s
        self.at_cap = at_cap


def _failure(error: FetchError) -> _FailedError:
    later = error.status >= 500 or error.status in _RETRIED or error.code == "proof-needed"
    return _FailedError(str(error), retry_after_s=error.retry_after_s, at_cap=not later)


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
        self._client = client
        self._sender = Sender(own)
        self._acknowledger = Acknowledger(own)
        self._fetcher = Fetcher(own, peer, client) if pulls else None
        self._slots = slots or Slots()
        self._random = random or SystemRandom()
        self._holder = f"{holder}-{os.getpid()}-{secrets.token_hex(4)}"
        self._greeted = False
        self._unmet = True  # the last failure came before the peer had answered anything
        self._unreached = True
        self._wake = asyncio.Event()
        self._hurry = False

    def wake(self, *, hurry: bool = False) -> None:
        """Look for work now.

        In a hurry (the peer has just been in contact) the wait is cut short that began because the
        peer could not be reached; a wait that the peer itself has caused is not.
        """
        self._hurry = self._hurry or hurry
        self._wake.set()

    async def run(self) -> None:
        """Deliver until cancelled; a failure is written down and tried again later."""
        beat_at = time.monotonic() + self._random.uniform(0, backoff.FIRST_HEARTBEAT_S)
        longest = backoff.FIRST_HEARTBEAT_S  # a pause from before the start is not sat out
        while True:
            self._wake.clear()
            failures, pause = await self._due()
            pause = min(pause, longest)
            if pause <= 0:
                longest = backoff.CAP_S
                heartbeat = time.monotonic() >= beat_at
                async with self._slots.of(failures):
                    done = await self.round(heartbeat=heartbeat)
                if heartbeat or done.bundles:
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

    async def round(self, *, heartbeat: bool) -> Round:
        """Deliver everything that waits; with `heartbeat` at least an empty bundle.

        Never raises for what a peer does or the machine lacks; the error is in the result and, as
        far as that can be written, in the database.
        """
        delivered = bundles = fetched = 0
        try:
            async with self._leased() as mine:
                if not mine or await self._paused():
                    return Round(busy=not mine)
                if self._fetcher is not None:
                    fetched = await self._fetch(self._fetcher, heartbeat=heartbeat)
                while True:
                    outgoing = await self._deliver(heartbeat=heartbeat and not bundles)
                    if outgoing is None:
                        break
                    delivered, bundles = delivered + outgoing.count, bundles + 1
                await self._spot_checks()
        except Exception as error:  # whatever it is, the courier must live to try again
            if not isinstance(error, NodeError | _FailedError):
                log.exception("courier", peer=self._peer)
            return Round(delivered, bundles, fetched, str(error), await self._failed(error))
        if fetched and not bundles:
            await asyncio.to_thread(self._own.ledger.write, self._well)
        return Round(delivered, bundles, fetched)

    async def _fetch(self, fetcher: Fetcher, *, heartbeat: bool) -> int:
        """Pull first: a receipt that a former round could not post goes before anything newer."""
        position = await self._greet()
        try:
            return await fetcher.fetch(position, heartbeat=heartbeat)
        except FetchError as error:
            if error.code != "proof-needed":
                raise _failure(error) from None
        # Our heartbeat says what we hold of its log; its next bundle starts from there.
        await self._deliver(heartbeat=True)
        try:
            return await fetcher.fetch(position, heartbeat=heartbeat)
        except FetchError as error:
            raise _failure(error) from None

    async def _deliver(self, *, heartbeat: bool) -> Outgoing | None:
        if not self._greeted:
            await self._greet()
        outgoing = await asyncio.to_thread(
            self._sender.next_bundle, self._peer, heartbeat=heartbeat
        )
        if outgoing is None:
            return None
        started = time.monotonic()
        try:
            answer = await self._client.post_bundle(outgoing.raw)
        except TimedOutError:
            await asyncio.to_thread(self._sender.halve, self._peer, outgoing.count)
            raise
        if answer.status == 409 and answer.json().get("code") == "proof-needed":
            held = answer.json().get("held")
            await asyncio.to_thread(self._sender.proof_needed, self._peer, held)
            again = await asyncio.to_thread(
                self._sender.next_bundle, self._peer, heartbeat=heartbeat
            )
            if again is None:
                return None
            outgoing, answer = again, await self._client.post_bundle(again.raw)
        await self._answered(outgoing, answer)
        log.info(
            "delivered",
            peer=self._peer,
            manifest=outgoing.manifest,
            documents=outgoing.count,
            seconds=round(time.monotonic() - started, 3),
        )
        return outgoing

    async def _answered(self, outgoing: Outgoing, answer: Answer) -> None:
        if answer.status != 200:
            raise await self._refusal(outgoing, answer)
        gap = await asyncio.to_thread(
            self._acknowledger.accept, self._peer, outgoing.manifest, answer.body
        )
        if gap is not None:
            bridge = await self._ask_consistency(gap)
            left = await asyncio.to_thread(
                self._acknowledger.accept, self._peer, outgoing.manifest, answer.body, bridge
            )
            if left is not None:
                raise InvalidReceiptError(f"no proof from size {left.old} to {left.new} verifies")

    async def _refusal(self, outgoing: Outgoing, answer: Answer) -> _FailedError:
        problem = answer.json()
        code, detail = str(problem.get("code", "")), str(problem.get("detail", ""))[:200]
        text = f"{answer.status} {code} {detail}".strip()
        if code in ("stream-fork", "log-fork"):
            stated = await asyncio.to_thread(
                self._acknowledger.forked,
                self._peer,
                outgoing.manifest,
                code,
                problem.get("statement"),
            )
            return _FailedError(text if stated else f"{text} (not signed)", at_cap=stated)
        if answer.status >= 500 or answer.status in _RETRIED or code == "proof-needed":
            return _FailedError(text, retry_after_s=answer.retry_after_s, by_proxy=not code)
        # An unsigned fork is a reason to try later; other client errors will not mend themselves soon.
        return _FailedError(text, at_cap=answer.status != 409)

    async def _ask_consistency(self, gap: Gap) -> list[bytes]:
        answer = await self._client.get("/kpx/v1/log/consistency", old=gap.old, new=gap.new)
        proof = read_proof(answer.json().get("proof"))
        if answer.status != 200 or proof is None:
            raise _FailedError(f"{answer.status}: no consistency proof")
        return proof

    async def _greet(self) -> dict[str, Any]:
        """Ask how the peer sees the pair, before the first bundle (protocol section 5).

        Returns:
            Its position; empty if it answers none.
        """
        answer = await self._client.get("/kpx/v1/position")
        position = answer.json() if answer.status == 200 else {}
        if answer.status >= 500 or answer.status in _RETRIED:
            # Nothing is signed for this peer before it has been asked; other answers will not come.
            code = str(answer.json().get("code", "")) or "no answer"
            text = f"{answer.status} {code} to the question for the position"
            if answer.status == 401:
                await self._look_at_keys()
            by_proxy = not answer.json().get("code")
            raise _FailedError(text, retry_after_s=answer.retry_after_s, by_proxy=by_proxy)
        if not self._greeted:
            if position:
                await asyncio.to_thread(inspection.check_position, self._own, self._peer, position)
            await self._look_at_keys()
            if (
                self._unmet
            ):  # what it was waited for is over; what fails from now on is another thing
                await asyncio.to_thread(self._own.ledger.write, self._well)
            self._greeted = True
        return position

    async def _look_at_keys(self) -> None:
        """Other keys than the pinned ones explain why nothing verifies; a peer may come back so."""
        with contextlib.suppress(PeerUnreachableError):  # it is asked again
            published = await self._client.get_open("/.well-known/jwks.json")
            if published.status == 200:
                await asyncio.to_thread(
                    inspection.check_keys, self._own, self._peer, published.body
                )

    async def _spot_checks(self) -> None:
        """Rule 7: one document of each bundle received must be in the sender's log."""
        for _ in range(MAX_SPOT_CHECKS):
            wanted = await asyncio.to_thread(inspection.wanted, self._own, self._peer)
            if wanted is None:
                return
            answer = await self._client.get(
                "/kpx/v1/log/inclusion", index=wanted.index, size=wanted.head.size
            )
            denied = answer.json().get("code") in ("not-found", "bad-request")
            if answer.status != 200 and not denied:
                return  # no answer yet; it is asked again
            await asyncio.to_thread(
                inspection.check_inclusion, self._own, self._peer, wanted, answer.json()
            )

    async def _paused(self) -> bool:
        state = await asyncio.to_thread(
            self._own.ledger.read, lambda tx: peers.state(tx, self._peer)
        )
        return state is not None and state.paused_at is not None

    def _well(self, tx: Transaction) -> None:
        peers.update(tx, self._peer, attempts=0, next_try=0, last_error=None)

    async def _due(self) -> tuple[int, float]:
        """Failures in a row, and the seconds until the next try may begin."""
        hurry, self._hurry = self._hurry and self._unreached, False
        state = await asyncio.to_thread(
            self._own.ledger.read, lambda tx: peers.state(tx, self._peer)
        )
        if state is None:
            return 0, 0.0
        # Never beyond the cap: a clock that was wrong may have written any moment.
        pause = min(float(state.next_try - self._own.now_s()), backoff.CAP_S)
        return state.attempts, 0.0 if hurry else pause

    async def _failed(self, error: Exception) -> float:
        """Write a failure down; returns the seconds until the next try."""
        self._unreached = isinstance(error, PeerUnreachableError) or (
            isinstance(error, _FailedError) and error.by_proxy
        )
        self._unmet = not self._greeted
        if self._unreached or isinstance(error, InvalidReceiptError):
            self._greeted = False  # a small question first, then the bundle
        retry_after_s = getattr(error, "retry_after_s", None)
        at_cap = getattr(error, "at_cap", False) or isinstance(error, LogBehindError)
        text = str(error).encode("utf-8", "replace").decode()

        def write(tx: Transaction) -> float:
            state = peers.state(tx, self._peer)
            attempts = (state.attempts if state else 0) + 1
            pause = backoff.delay_s(attempts, self._random, retry_after_s)
            pause = backoff.CAP_S if at_cap else pause
            next_try = self._own.now_s() + int(pause)
            peers.update(tx, self._peer, attempts=attempts, next_try=next_try, last_error=text)
            return pause

        try:
            pause = await asyncio.to_thread(self._own.ledger.write, write)
        except LedgerUnavailableError as unavailable:
            log.error("ledger unavailable", peer=self._peer, error=str(unavailable))
            return UNRECORDED_S
        log.warning("not delivered", peer=self._peer, error=text, next_try_s=round(pause, 1))
        return pause

    @contextlib.asynccontextmanager
    async def _leased(self) -> AsyncIterator[bool]:
        """The one delivery to this peer, renewed for as long as it takes; False if it is taken."""
        renewal: asyncio.Task[None] | None = None
        try:
            mine = await self._take_lease()
            if mine:
                renewal = asyncio.create_task(self._renew())
            yield mine
        finally:
            if renewal is not None:
                renewal.cancel()
                await asyncio.gather(renewal, return_exceptions=True)
            with contextlib.suppress(LedgerUnavailableError):
                await asyncio.shield(
                    asyncio.to_thread(
                        self._own.ledger.write,
                        lambda tx: peers.drop_lease(tx, self._peer, self._holder),
                    )
                )

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(LEASE_S / 3)
            with contextlib.suppress(LedgerUnavailableError):
                await self._take_lease()

    async def _take_lease(self) -> bool:
        now_s = self._own.now_s()
        return await asyncio.to_thread(
            self._own.ledger.write,
            lambda tx: peers.take_lease(tx, self._peer, self._holder, now_s, now_s + LEASE_S),
        )
