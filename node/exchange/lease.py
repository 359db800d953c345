"""The one delivery to a peer at a time: a lease row, so that it holds between processes."""

import asyncio
import contextlib
import os
import secrets
import threading
import time
from collections.abc import AsyncIterator
from enum import Enum

from node.authority import OwnAuthority
from node.errors import LedgerUnavailableError
from node.ids import Authority
from node.ledger import peers
from node.ledger.database import Transaction

LEASE_S = 30
"""Renewed while a delivery lasts. What a crashed `serve` held is taken over at the next start."""

LINGER_S = 1.0
"""A running node keeps it so long after a delivery: the next need not take it, nor this one drop it."""


class Leased(Enum):
    """Whether a delivery may begin."""

    MINE, BUSY, PAUSED = "mine", "busy", "paused"


class Lease:
    """The lease of one peer, as one courier takes and drops it.

    Args:
        own: The sender.
        peer: The recipient.
        holder: What kind of process this is.
    """

    def __init__(self, own: OwnAuthority, peer: Authority, holder: str) -> None:
        self._own = own
        self._peer = peer
        self._holder = f"{holder}-{os.getpid()}-{secrets.token_hex(4)}"
        self._given_up = threading.Event()
        self._sure_until = 0.0
        self._dropping: asyncio.TimerHandle | None = None

    @contextlib.asynccontextmanager
    async def held(self, *, linger: bool) -> AsyncIterator[Leased]:
        """Hold it, renewed for as long as it takes, if it is to be had.

        Args:
            linger: Whether to keep it for a moment afterwards.
        """
        renewal: asyncio.Task[None] | None = None
        leased = Leased.BUSY
        try:
            leased = Leased.MINE if self._is_kept() else await self._take()
            if leased is Leased.MINE:
                renewal = asyncio.create_task(self._renew())
            yield leased
        finally:
            if renewal is not None:
                renewal.cancel()
            if linger and leased is Leased.MINE:
                self._dropping = asyncio.get_running_loop().call_later(LINGER_S, self.drop)
            else:
                self.drop()

    def drop(self) -> None:
        """Give it back, if it is held."""
        if self._dropping is not None:
            self._dropping.cancel()
            self._dropping = None
        # A thread goes on when who waits for it is cancelled: it may come to take it afterwards.
        self._given_up.set()
        self._sure_until = 0.0
        # Not waited for: a cancellation that comes just now would keep it from being dropped.
        self._own.ledger.write_soon(lambda tx: peers.drop_lease(tx, self._peer, self._holder))

    def _is_kept(self) -> bool:
        if self._dropping is None:
            return False
        self._dropping.cancel()
        self._dropping = None
        return time.monotonic() < self._sure_until

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(LEASE_S / 3)
            with contextlib.suppress(LedgerUnavailableError):
                await self._take()

    async def _take(self) -> Leased:
        now_s, given_up = self._own.now_s(), threading.Event()
        self._given_up = given_up

        def take(tx: Transaction) -> Leased:
            if given_up.is_set():
                return Leased.BUSY
            if not peers.take_lease(tx, self._peer, self._holder, now_s, now_s + LEASE_S):
                return Leased.BUSY
            state = peers.state(tx, self._peer)
            paused = state is not None and state.paused_at is not None
            return Leased.PAUSED if paused else Leased.MINE

        sure_until = time.monotonic() + LEASE_S / 2
        leased = await asyncio.to_thread(self._own.ledger.write, take, durable=False)
        self._sure_until = sure_until
        return leased
