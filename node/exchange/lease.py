"""The one delivery to a peer at a time: a lease row, so that it holds between processes."""

import asyncio
import contextlib
import os
import secrets
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

KEPT_S = 1.0
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
        # Threads go on when who waits for them is cancelled, and drops wait behind other work: each
        # looks whether its holding is still the present one.
        self._holding: object | None = None
        self._sure_until = 0.0
        self._dropping: asyncio.TimerHandle | None = None

    @contextlib.asynccontextmanager
    async def held(self, *, keep: bool) -> AsyncIterator[Leased]:
        """Hold it, renewed for as long as it takes, if it is to be had.

        Args:
            keep: Whether to keep it for a moment afterwards.
        """
        leased, renewal = Leased.BUSY, None
        try:
            leased = Leased.MINE if self._is_kept() else await self._take_anew()
            if leased is Leased.MINE:
                renewal = asyncio.create_task(self._renew())
            yield leased
        finally:
            if renewal is not None:
                renewal.cancel()
            if keep and leased is Leased.MINE:
                self._dropping = asyncio.get_running_loop().call_later(KEPT_S, self.drop)
            else:
                self.drop()

    def drop(self) -> None:
        """Give it back, if it may be held."""
        self._stop_dropping()
        if self._holding is None:
            return
        self._holding = None

        def give_back(tx: Transaction) -> None:
            if self._holding is None:  # else it has been taken again
                peers.drop_lease(tx, self._peer, self._holder)

        # Not waited for: a cancellation that comes just now would keep it from being dropped.
        self._own.ledger.write_soon(give_back)

    def _is_kept(self) -> bool:
        """Whether it is kept from before, and surely no other process has taken it over."""
        return self._stop_dropping() and time.monotonic() < self._sure_until

    def _stop_dropping(self) -> bool:
        """Whether it was about to be dropped; it is not any more."""
        if self._dropping is None:
            return False
        self._dropping.cancel()
        self._dropping = None
        return True

    async def _renew(self) -> None:
        leased = Leased.MINE
        while leased is Leased.MINE:
            await asyncio.sleep(LEASE_S / 3)
            with contextlib.suppress(LedgerUnavailableError):
                leased = await self._take()

    async def _take_anew(self) -> Leased:
        self._holding = object()
        return await self._take()

    async def _take(self) -> Leased:
        holding, now_s = self._holding, self._own.now_s()

        def take(tx: Transaction) -> Leased:
            if self._holding is not holding:
                return Leased.BUSY
            if not peers.take_lease(tx, self._peer, self._holder, now_s, now_s + LEASE_S):
                return Leased.BUSY
            state = peers.state(tx, self._peer)
            paused = state is not None and state.paused_at is not None
            return Leased.PAUSED if paused else Leased.MINE

        sure_until = time.monotonic() + LEASE_S / 2
        leased = await asyncio.to_thread(self._own.ledger.write, take, durable=False)
        self._sure_until = sure_until if leased is Leased.MINE else 0.0
        return leased
