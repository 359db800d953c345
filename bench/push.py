"""Single push: shipments issued one by one inside a node, until the verified receipt is stored."""

import asyncio
import tempfile
import time
from pathlib import Path
from statistics import quantiles

import structlog

from bench.homes import certificates, serving
from bench.limits import Figure, exchange_s
from node.authority import OwnAuthority
from node.exchange.client import new_session
from node.exchange.dispatch import Dispatch
from node.ids import Authority
from node.ledger import peers, streams
from node.office.issue import issue
from node.office.officer import Officer
from node.wiring import open_node
from tests.nodes import make_homes

CALLERS = 16


def measure(runs: int, count: int) -> list[Figure]:
    many = Figure(f"push, {CALLERS} callers", "1/s", "≥ 300", "600", "documents/s")
    one = Figure("push, 1 caller, p95", "L", "≤ 5", "3", "ms")
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
    delivered = asyncio.Condition()
    structlog.configure(processors=[_Notice(delivered, asyncio.get_running_loop())])
    shipments, times = iter(certificates(count, start)), []
    async with new_session() as session:
        dispatch = Dispatch(own, session, "bench")
        await dispatch.start()

        async def caller() -> None:
            for shipment in shipments:
                began = time.perf_counter()
                await asyncio.to_thread(issue, own, [shipment], Officer())
                last = await asyncio.to_thread(own.ledger.read, _last)
                dispatch.wake()
                async with delivered:
                    while await asyncio.to_thread(_acknowledged, own) < last:
                        await delivered.wait()
                times.append(time.perf_counter() - began)

        began = time.perf_counter()
        await asyncio.gather(*(caller() for _ in range(callers)))
        took = time.perf_counter() - began
        await dispatch.stop()
    structlog.reset_defaults()
    return count / took, times


def _last(tx) -> int:
    place = streams.sent_place(tx, "BY")
    return place.position if place else 0


def _acknowledged(own: OwnAuthority) -> int:
    state = own.ledger.read(lambda tx: peers.state(tx, Authority("BY")))
    return state.acknowledged if state else 0


class _Notice:
    """A log processor that wakes the callers when something was delivered, and prints nothing."""

    def __init__(self, delivered: asyncio.Condition, loop: asyncio.AbstractEventLoop) -> None:
        self._delivered, self._loop = delivered, loop

    def __call__(self, _, __, event):
        if event.get("event") == "delivered":
            self._loop.create_task(self._notify())
        raise structlog.DropEvent

    async def _notify(self) -> None:
        async with self._delivered:
            self._delivered.notify_all()
