"""The API over the verb: issuing through HTTP against the same by the function, one by one and many.

The node is a process of its own; the verb runs here, on another home. Reading: a certificate by its
number over HTTP, against the same reading in this process.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.homes import certificates
from bench.limits import Figure
from node.authority import OwnAuthority
from node.client import AsyncClient
from node.office.access import make
from node.office.issue import issue
from node.office.officer import Officer
from node.watch.certificates import shown
from node.wiring import open_node, read_config
from tests.nodes import make_homes, serving

BATCH = 500


def measure(runs: int, count: int) -> list[Figure]:
    one = Figure("API, issue one by one", "the verb", "", "", "certificates/s")
    many = Figure("API, issue 500 in a call", "the verb", "", "", "certificates/s")
    read = Figure("API, a certificate", "the reading", "", "", "certificates/s")
    with tempfile.TemporaryDirectory() as folder:
        by_verb, by_api = (make_homes(Path(folder) / n, "RU", "BY")["RU"] for n in ("v", "a"))
        with open_node(by_api) as own:
            _, token = make(own, "bench", {"read", "issue"}, 1)
        console = read_config(by_api).node.console
        with serving(by_api), open_node(by_verb) as own:
            issue(own, certificates(1), Officer())  # schemas and keys are loaded
            runner = asyncio.Runner()
            client = runner.run(_client(f"http://{console.host}:{console.port}", token))
            try:
                for run in range(1, runs + 1):
                    made = [certificates(count, (3 * run + part) * 1_000_000) for part in range(3)]
                    verbs, calls = _one_by_one(own), _calls(runner, client)
                    before = _rate(verbs, [[s] for s in made[0]])
                    got = _rate(calls, [[s] for s in made[1]])
                    one.add(got, before, _rate(verbs, [[s] for s in made[2]]))
                    sizes = [
                        certificates(BATCH, (run * 10 + part) * 10_000_000) for part in range(3)
                    ]
                    before = _rate(verbs, [sizes[0]])
                    got = _rate(calls, [sizes[1]])
                    many.add(got, before, _rate(verbs, [sizes[2]]))
                    here = [s["number"] for s in made[0]]
                    there = [s["number"] for s in made[1]]
                    before = _readings(here, lambda number: shown(own, number))
                    got = _readings(there, lambda n: runner.run(client.certificate(n)))
                    read.add(got, before, _readings(here, lambda number: shown(own, number)))
            finally:
                runner.run(client.__aexit__(None, None, None))
                runner.close()
    return [one, many, read]


async def _client(url: str, token: str) -> AsyncClient:
    return AsyncClient(url, token)


def _one_by_one(own: OwnAuthority) -> Callable[[Sequence[Any]], Any]:
    return lambda shipments: issue(own, shipments, Officer("Moscow"))


def _calls(runner: asyncio.Runner, client: AsyncClient) -> Callable[[Sequence[Any]], Any]:
    return lambda shipments: runner.run(client.issue(shipments, office="Moscow"))


def _rate(act: Callable[[Sequence[Any]], Any], batches: Sequence[Sequence[Any]]) -> float:
    took = 0.0
    for batch in batches:
        began = time.perf_counter()
        act(batch)
        took += time.perf_counter() - began
    return sum(map(len, batches)) / took


def _readings(numbers: Sequence[str], read: Callable[[str], Any]) -> float:
    began = time.perf_counter()
    for number in numbers:
        read(number)
    return len(numbers) / (time.perf_counter() - began)
