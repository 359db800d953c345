"""Two nodes as real processes, a bad link both ways, SIGKILL at seeded random moments.

Each round exchanges 2,000 documents, 1,000 each way. At its end nothing acknowledged is lost,
nothing is there twice, and streams, states and trees agree. `make soak` plays 100 rounds and more.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from typing import Any

import pytest

from node.authority import OwnAuthority
from node.demo.nodes import free_ports
from node.ledger import entries, peers, streams, witness
from node.office.issue import issue
from node.office.officer import Officer
from node.wiring import open_node
from tests.faulty_link import FaultyLink, linked
from tests.nodes import make_homes, shipments
from tests.test_kill import NEVER, ROOT, command

DOCUMENTS = 1000
"""Each way, in a round."""

GROUPS = 10
"""In so many lots they are issued, while everything else goes on."""

KILLS = 1
"""Of each node, in a round."""

PATIENCE_S = 60
SEED = 20261126


class Process:
    """A node that is killed and started again."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._log = (home / "serve.log").open("a")
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            command(self._home, NEVER, 1, "serve"),
            stdout=subprocess.DEVNULL, stderr=self._log, text=True, cwd=ROOT,
        )  # fmt: skip

    def kill(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        assert self.process.wait() == -signal.SIGKILL, (self._home / "serve.log").read_text()[
            -2000:
        ]

    def end(self) -> None:
        if self.process is not None:
            self.process.terminate()
            assert self.process.wait(30) in (0, -signal.SIGTERM), (
                self._home / "serve.log"
            ).read_text()[-2000:]
        self._log.close()


def redirect(home: Path, old: str, new: str) -> None:
    path = home / "peers.toml"
    head, table = path.read_text().split("\n[[peer]]\n")
    assert old in table
    path.write_text(f"{head}\n[[peer]]\n{table.replace(old, new)}")


def lots(sender: str, to: str, round_number: int) -> list[list[Any]]:
    # BY's own samples are re-exports; here it exports what it has mined itself.
    template = shipments("RU", "BY")[0] | {
        "from": sender, "to": to, "mining_origins": [sender], "provenance": sender,
        "destination": to,
    }  # fmt: skip
    numbers = range(DOCUMENTS)
    size = DOCUMENTS // GROUPS
    made = [dict(template, number=f"{sender[:2]}{round_number + 10:03d}{n:06d}") for n in numbers]
    return [made[at : at + size] for at in range(0, DOCUMENTS, size)]


async def test_nothing_is_lost_and_nothing_doubled_whatever_the_link_and_the_power_do(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    rounds = int(request.config.getoption("--rounds"))
    homes = make_homes(tmp_path, "RU", "BY")
    links, started = {}, time.monotonic()
    async with AsyncExitStack() as stack:
        for number, (name, port) in enumerate(zip(homes, free_ports(2), strict=True)):
            with open_node(homes[name]) as own:
                url = own.config.node.url
            links[name] = FaultyLink(url, Random(SEED + number))
            other = next(one for one in homes if one != name)
            redirect(homes[other], url, f"http://localhost:{port}")
            await stack.enter_async_context(linked(links[name], port))
        nodes = [stack.enter_context(open_node(home)) for home in homes.values()]
        processes = [Process(home) for home in homes.values()]
        for process in processes:
            process.start()
            stack.callback(process.end)
        for number in range(rounds):
            await play(number, nodes, processes)
            agree(*nodes, (number + 1) * DOCUMENTS)
        await asyncio.gather(*(verified(home) for home in homes.values()))
    faults = sum((link.seen for link in links.values()), Counter[str]())
    lasted = time.monotonic() - started
    told = (
        f"{rounds} rounds, {2 * DOCUMENTS} documents each, {2 * KILLS} kills each, {lasted:.0f} s"
    )
    print(f"{told}; {dict(faults)}")  # noqa: T201 - shown by pytest -s and make soak


async def play(number: int, nodes: list[OwnAuthority], processes: list[Process]) -> None:
    random = Random(SEED * 1000 + number)
    ru, by = nodes
    work = [(ru, lot) for lot in lots("RU", "BY", number)]
    work += [(by, lot) for lot in lots("BY", "RU", number)]
    random.shuffle(work)
    kills = [process for process in processes for _ in range(KILLS)]
    random.shuffle(kills)
    moments = set(random.sample(range(len(work)), len(kills)))
    for at, (own, lot) in enumerate(work):
        await asyncio.to_thread(issue, own, lot, Officer())
        await asyncio.sleep(random.uniform(0, 0.1))
        if at in moments:
            victim = kills.pop()
            await asyncio.to_thread(victim.kill)
            victim.start()
    until = time.monotonic() + PATIENCE_S
    while not await asyncio.to_thread(settled, nodes):
        assert time.monotonic() < until, f"round {number} did not settle"
        await asyncio.sleep(0.05)


async def verified(home: Path) -> None:
    """The node's own judgement of its ledger, from the bytes up."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "node.cli", "--json", "--home", str(home), "ledger", "verify",
        stdout=subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    told, _ = await process.communicate()
    assert json.loads(told)["problems"] == []


def settled(nodes: list[OwnAuthority]) -> bool:
    def query(tx: Any, peer: str) -> bool:
        state, last = peers.state(tx, peer), streams.sent_place(tx, peer)
        return state is not None and last is not None and state.acknowledged == last.position

    names = [own.name for own in nodes]
    return all(
        own.ledger.read(lambda tx, p=peer: query(tx, p))  # type: ignore[misc]
        for own, peer in zip(nodes, reversed(names), strict=True)
    )


def agree(ru: OwnAuthority, by: OwnAuthority, count: int) -> None:
    for one, other in ((ru, by), (by, ru)):
        sent = one.ledger.read(lambda tx, p=other.name: streams.sent_place(tx, p))
        assert sent == other.ledger.read(lambda tx, p=one.name: streams.received_place(tx, p))
        assert sent is not None
        assert sent.position == count
        assert one.ledger.read(lambda tx, p=other.name: peers.incidents(tx, p)) == []
        issued, held = (
            own.ledger.read(lambda tx, s=side: sides(tx, s))  # type: ignore[misc]
            for own, side in ((one, "exporter"), (other, "importer"))
        )
        assert issued.keys() == held.keys()
        assert len(issued) == count
        assert set(issued.values()) == {("issued", "accepted")}
        assert {state for state, _ in held.values()} == {"announced"}
        seen = one.ledger.read(lambda tx, p=other.name: witness.held(tx, p))
        assert seen is not None
        assert seen.root == other.ledger.read(lambda tx, n=seen.size: entries.root(tx, n))


def sides(tx: Any, side: str) -> dict[str, tuple[str, str | None]]:
    """State and outcome of every certificate of a side, by doc id."""
    rows = tx.execute(
        "SELECT c.doc_id, c.state, o.outcome FROM certificates c "
        "LEFT JOIN outcomes o ON o.doc_id = c.doc_id AND o.peer = c.peer WHERE c.side = ?",
        (side,),
    )
    return {row["doc_id"]: (row["state"], row["outcome"]) for row in rows}
