"""All couriers of a node: one for each peer it calls, started, woken and replaced together."""

import asyncio
from collections.abc import Collection

import aiohttp
import structlog

from node.authority import OwnAuthority
from node.config import PULL
from node.errors import LedgerUnavailableError
from node.exchange.client import PeerClient
from node.exchange.courier import Courier, Slots
from node.exchange.quarantine import judge_again
from node.ids import Authority
from node.ledger import deliveries

LOOK_AGAIN_S = 1.0
"""After a look that failed."""

log = structlog.get_logger()


class Dispatch:
    """The couriers of the peers that this node calls.

    Args:
        own: The sender.
        session: For all requests.
        holder: What kind of process this is, for the leases.
    """

    def __init__(self, own: OwnAuthority, session: aiohttp.ClientSession, holder: str) -> None:
        self._own = own
        self._session = session
        self._holder = holder
        self._slots = Slots()
        self._couriers: dict[Authority, Courier] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._written = asyncio.Event()

    async def start(self) -> None:
        """Start, or start anew after a reload, with what the peer book says now."""
        await asyncio.to_thread(self.judge_quarantine)
        await self.stop()
        for peer in self.called():
            courier = self._couriers[peer] = self.courier(peer)
            self._tasks.append(asyncio.create_task(courier.run(), name=f"courier {peer}"))
        self._tasks.append(asyncio.create_task(self._look(), name="dispatch"))

    async def stop(self) -> None:
        """Stop every courier; what was in flight is in the database."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._couriers, self._tasks = {}, []

    def courier(self, peer: Authority) -> Courier:
        """A courier of a peer in the book."""
        settings = self._own.book.settings[peer]
        client = PeerClient(self._own, settings, self._session)
        pulls = settings.mode == PULL
        return Courier(self._own, peer, client, self._holder, pulls=pulls, slots=self._slots)

    def called(self) -> list[Authority]:
        """The peers that this node calls, but for those whose keys have changed."""
        book = self._own.book
        return [peer for peer in book.ring if book.settings[peer].called]

    def failed(self) -> BaseException | None:
        """What ended a courier, if one has ended; couriers never should."""
        for task in self._tasks:
            if task.done() and not task.cancelled() and (error := task.exception()):
                return error
        return None

    def judge_quarantine(self) -> int:
        """Judge again what was refused from anyone; returns how many were accepted."""
        return sum(judge_again(self._own, peer) for peer in self._own.book.ring)

    def wake(self) -> None:
        """Something was written: look for work."""
        self._written.set()

    def work_for(self, peers: Collection[str]) -> None:
        """Wake the couriers of peers that something waits for; most have nothing to do with what was written."""
        for peer, courier in self._couriers.items():
            if peer in peers or courier.asks:
                courier.wake()

    def wake_peer(self, peer: Authority) -> None:
        """A peer has just been in contact, so it can be reached: try it now."""
        if peer in self._couriers:
            self._couriers[peer].wake(hurry=True)

    async def _look(self) -> None:
        """Once for all couriers."""
        while True:
            await self._written.wait()
            self._written.clear()
            try:
                work = await asyncio.to_thread(self._own.ledger.read, deliveries.with_work)
            except LedgerUnavailableError as error:
                log.error("ledger unavailable", error=str(error))
                await asyncio.sleep(LOOK_AGAIN_S)
                self._written.set()
                continue
            self.work_for(work)
