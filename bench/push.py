"""Single push: shipments issued one by one inside a node, until the verified receipt is stored."""

import asyncio
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import quantiles

import structlog

from bench.homes import certificates
from bench.limits import Figure, exchange_s
from node.authority import OwnAuthority
from node.crew import seldom_collect
from node.exchange.client import new_session
from node.exchange.dispatch import Dispatch
from node.ledger import entries, transport
from node.office.issue import issue
from node.office.officer import Officer
from node.web.serving import THREADS
from node.wiring import open_node
from tests.nodes import make_homes, serving

CALLERS = 16


def measure(runs: int, count: int) -> list[Figure]:
    many = Figure(f"push, {CALLERS} callers", "1/s", "≥ 300", "600", "documents/s")
    one = Figure("push, 1 caller, p95", "L", "≤ 5", "3", "ms")
    seldom_collect()  # as `serve` does
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as folder:
            homes = make_homes(Path(folder), "RU", "BY")
            with serving(homes["BY"]), open_node(homes["RU"]) as own:
                before = exchange_s()
                rate, _ = asyncio.run(_run(own, CALLERS, count, 0))
                many.add(rate, 1, 1)
                _, times = asyncio.run(_run(own, 1, max(20, count // 10), count))
                p95 = quantiles(times, n=20)[18]
                one.add(1000 * p95, 1000 * before, 1000 * exchange_s())
    return [many, one]


async def _run(
    own: OwnAuthority, callers: int, count: int, start: int
) -> tuple[float, list[float]]:
    """Documents a second, and the seconds from each call to its receipt."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS))  # as `serve` does
    receipts = _Receipts(own)
    structlog.configure(processors=[receipts.notice])
    shipments, times = iter(certificates(count, start)), []
    async with new_session() as session:
        dispatch = Dispatch(own, session, "bench")
        await dispatch.start()

        async def caller() -> None:
            for shipment in shipments:
                began = time.perf_counter()
                (issued,) = await asyncio.to_thread(issue, own, [shipment], Officer())
                dispatch.wake()
                await receipts.cover(issued.doc_id)
                times.append(time.perf_counter() - began)

        began = time.perf_counter()
        await asyncio.gather(*(caller() for _ in range(callers)))
        took = time.perf_counter() - began
        await dispatch.stop()
    structlog.reset_defaults()
    return count / took, times


class _Receipts:
    """Wakes callers once the receipt for their document is stored. Hears of it by the node's log."""

    def __init__(self, own: OwnAuthority) -> None:
        self._own, self._loop = own, asyncio.get_running_loop()
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._covered: dict[str, str] = {}

    async def cover(self, doc_id: str) -> None:
        if doc_id not in self._covered:  # else it was delivered before anybody asked
            await self._waiting.setdefault(doc_id, self._loop.create_future())
        assert self._covered[doc_id] == "accepted"

    def notice(self, _, __, event):
        if event.get("event") == "delivered":
            self._loop.create_task(self._look(event["manifest"]))
        raise structlog.DropEvent

    async def _look(self, manifest: str) -> None:
        receipt = await asyncio.to_thread(
            self._own.ledger.read, lambda tx: transport.receipt(tx, "BY", manifest)
        )
        for result in entries.claims(receipt)["body"]["results"]:
            self._covered[result["doc"]] = result["outcome"]
            if future := self._waiting.pop(result["doc"], None):
                future.set_result(None)
