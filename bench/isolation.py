"""Do sick peers slow healthy ones down? Sixty nodes as processes, with and without the sick ones.

python -m bench.isolation [--nodes 60] [--dead 10] [--slow 2] [--seconds 20]

Every healthy node issues to healthy neighbours at its own pace; the time from the call that issues
to the receipt that is stored is read from the nodes' own logs. In the second run each also has dead
and slow peers, with documents waiting for them. Printed: median and p95 of both, and their ratios.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from random import Random
from statistics import median, quantiles
from typing import Any

from aiohttp import web

from bench.homes import Node, add_peers, make_nodes, serving_all
from node.authority import OwnAuthority
from node.domain.reference import reference
from node.office.issue import issue
from node.office.officer import Officer
from node.wiring import open_node
from tests.nodes import shipments

NEIGHBOURS = 3
"""On each side, so every healthy node exchanges with six."""

SICK_EACH = 2
"""Sick peers of each healthy node, in the second run."""

SLOW_S = 30.0
"""How long a slow peer lets every answer wait."""

PATIENCE_S = 60.0


@dataclass(frozen=True)
class Size:
    """How large a run is."""

    nodes: int = 60
    dead: int = 10
    slow: int = 2
    seconds: float = 20.0

    @property
    def healthy(self) -> int:
        return self.nodes - self.dead - self.slow


def main(size: Size) -> dict[str, float]:
    """Both runs; returns the figures that are printed."""
    figures: dict[str, float] = {}
    for sick in (False, True):
        with tempfile.TemporaryDirectory(prefix="kpnode-isolation-") as folder:
            times = asyncio.run(_run(Path(folder), size, sick=sick))
        name = "with" if sick else "without"
        figures[f"{name}_median_s"] = round(median(times), 3)
        figures[f"{name}_p95_s"] = round(quantiles(times, n=20)[18], 3)
        figures[f"{name}_deliveries"] = len(times)
        print(f"{name:>8} sick peers: {json.dumps(figures)}", file=sys.stderr)
    for figure in ("median", "p95"):
        ratio = figures[f"with_{figure}_s"] / figures[f"without_{figure}_s"]
        figures[f"{figure}_ratio"] = round(ratio, 2)
    return figures


async def _run(folder: Path, size: Size, *, sick: bool) -> list[float]:
    healthy, ill = _make(folder, size, sick=sick)
    async with AsyncExitStack() as stack:
        for node in ill[size.dead :]:  # the others are dead: nobody listens there
            await stack.enter_async_context(_slow(node))
        await asyncio.to_thread(stack.enter_context, serving_all(healthy))
        owns = {n.authority: stack.enter_context(open_node(n.home)) for n in healthy}
        issued = await asyncio.to_thread(_traffic, owns, healthy, ill, size)
        await asyncio.to_thread(_settled, owns, healthy)
    return list(_deliveries(healthy, issued))


def _make(folder: Path, size: Size, *, sick: bool) -> tuple[list[Node], list[Node]]:
    count = size.nodes if sick else size.healthy
    nodes = make_nodes(folder, reference().participants_on(date.today())[:count])
    healthy, ill = nodes[: size.healthy], nodes[size.healthy :]
    for number, node in enumerate(healthy):
        around = range(1, NEIGHBOURS + 1)
        peers = [healthy[(number + n) % len(healthy)] for n in (*around, *(-n for n in around))]
        if ill:
            peers += [ill[(number + 5 * n) % len(ill)] for n in range(SICK_EACH)]
        add_peers(node, peers)
    return healthy, ill


def _slow(node: Node) -> Any:
    from contextlib import asynccontextmanager

    async def handler(request: web.Request) -> web.StreamResponse:
        await request.read()
        await asyncio.sleep(SLOW_S)
        return web.Response(status=503)

    @asynccontextmanager
    async def serving() -> Any:
        app = web.Application(client_max_size=16 * 1024 * 1024)
        app.router.add_route("*", "/{tail:.*}", handler)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "localhost", int(node.url.rpartition(":")[2])).start()
        try:
            yield
        finally:
            await runner.cleanup()

    return serving()


def _traffic(
    owns: dict[str, OwnAuthority], healthy: list[Node], ill: list[Node], size: Size
) -> dict[tuple[str, str], list[float]]:
    """Issue at a steady pace, one document at a time for each pair; returns when, by pair."""
    random, numbers = Random(20261126), iter(range(10**6))
    for node in healthy:
        for peer in owns[node.authority].book.settings:
            if peer in {n.authority for n in ill}:
                issue(
                    owns[node.authority], _shipments(node.authority, peer, numbers, 50), Officer()
                )
    issued: dict[tuple[str, str], list[float]] = {}
    until = time.time() + size.seconds
    pairs = [
        (node.authority, healthy[(number + n) % len(healthy)].authority)
        for number, node in enumerate(healthy)
        for n in range(1, NEIGHBOURS + 1)
        if n % len(healthy)
    ]
    random.shuffle(pairs)
    pace = max(0.02, size.seconds / len(pairs) / 3)
    while time.time() < until:
        for sender, peer in pairs:
            if time.time() >= until:
                break
            at = time.time()
            issue(owns[sender], _shipments(sender, peer, numbers, 1), Officer())
            issued.setdefault((sender, peer), []).append(at)
            time.sleep(max(0.0, pace - (time.time() - at)))
    return issued


def _shipments(sender: str, to: str, numbers: Iterator[int], count: int) -> list[Any]:
    template = shipments("RU", "BY")[0] | {
        "from": sender, "to": to, "mining_origins": [sender], "provenance": sender,
        "destination": to,
    }  # fmt: skip
    return [dict(template, number=f"{sender[:2]}{next(numbers):08d}") for _ in range(count)]


def _settled(owns: dict[str, OwnAuthority], healthy: list[Node]) -> None:
    from node.watch.peers import status

    names, until = {node.authority for node in healthy}, time.time() + PATIENCE_S
    for own in owns.values():
        while any(p["out"]["lag"] for p in status(own)["peers"] if p["authority"] in names):
            assert time.time() < until, "healthy nodes did not settle"
            time.sleep(0.1)


def _deliveries(healthy: list[Node], issued: dict[tuple[str, str], list[float]]) -> Iterator[float]:
    """From each call that issued to the delivery that covers it, by the sender's own log."""
    for node in healthy:
        done: dict[str, list[float]] = {}
        for line in node.log.read_text().splitlines():
            if '"delivered"' in line:
                event = json.loads(line)
                if event["documents"]:
                    at = datetime.fromisoformat(event["timestamp"]).timestamp()
                    done.setdefault(event["peer"], []).append(at)
        for (sender, peer), moments in issued.items():
            if sender == node.authority:
                for at in moments:
                    yield min(d for d in done[peer] if d >= at) - at


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("nodes", 60), ("dead", 10), ("slow", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--seconds", type=float, default=20.0)
    print(json.dumps(main(Size(**vars(parser.parse_args()))), indent=2))
