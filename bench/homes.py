"""Homes and certificates for the benchmarks."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from node.authority import OwnAuthority
from node.demo.nodes import free_ports
from node.exchange.send import Sender
from node.ids import Authority
from node.ledger import entries, peers
from node.office.issue import issue
from node.office.officer import Officer
from tests.nodes import kpnode, shipments

LOT = 500


def certificates(count: int, start: int = 0, sender: str = "RU") -> list[Any]:
    """Shipments from RU to BY, or the same from another sender, alike but for their numbers."""
    samples = [
        shipment | {
            "from": sender, "provenance": sender, "mining_origins": [sender],
            "exporter": shipment["exporter"] | {"country": sender},
        }
        for shipment in shipments("RU", "BY", 20) if "source_certificates" not in shipment
    ]  # fmt: skip
    return [
        samples[n % len(samples)] | {"number": f"{sender}{10_000_000 + start + n}"}
        for n in range(count)
    ]


def issue_all(own: OwnAuthority, count: int, first: int = 0) -> None:
    sender = own.name
    for start in range(0, count, LOT):
        issue(own, certificates(min(LOT, count - start), first + start, sender), Officer())


def bundles(own: OwnAuthority, peer: str, documents: int) -> list[bytes]:
    """Everything that waits for a peer, signed beforehand in bundles that follow each other."""
    made, size = [], own.ledger.read(entries.size)
    own.ledger.write(lambda tx: peers.update(tx, peer, batch=documents))
    while (one := Sender(own).next_bundle(Authority(peer), heartbeat=False)) is not None:
        made.append(one.raw)
        last = one.first + one.count - 1
        own.ledger.write(
            lambda tx, n=last: peers.update(
                tx, peer, acknowledged=n, proven_size=size, in_flight=None
            )
        )
    return made


@dataclass(frozen=True)
class Node:
    """One authority's home among many, where it listens, and where its log goes."""

    authority: str
    home: Path
    url: str
    log: Path


def make_nodes(folder: Path, authorities: list[str]) -> list[Node]:
    """Homes that have no peers yet."""
    ports = free_ports(2 * len(authorities))
    nodes = []
    for number, authority in enumerate(authorities):
        home, url = folder / authority, f"http://localhost:{ports[2 * number]}"
        nodes.append(Node(authority, home, url, folder / f"{authority}.log"))
        kpnode(
            "init", str(home), "--authority", authority, "--name", authority, "--url", url,
            "--console", f"localhost:{ports[2 * number + 1]}", "--sandbox",
        )  # fmt: skip
    return nodes


def add_peers(node: Node, peers: list[Node]) -> None:
    """Add peers to a home, each once; not by the command, which takes a second each."""
    text = (node.home / "peers.toml").read_text("utf-8")
    for peer in {p.authority: p for p in peers if p is not node}.values():
        jwks = peer.home / "keys" / f"{peer.authority}.jwks.json"
        text += f'\n[[peer]]\nauthority = "{peer.authority}"\nurl = "{peer.url}"\njwks = "{jwks}"\n'
    (node.home / "peers.toml").write_text(text, "utf-8")


@contextmanager
def serving_all(nodes: list[Node]) -> Iterator[None]:
    """Nodes as processes of their own, all at once."""
    processes = []
    with ExitStack() as stack:
        for node in nodes:
            log = stack.enter_context(node.log.open("w"))
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", "node.cli", "--home", str(node.home), "serve"],
                    stdout=subprocess.PIPE, stderr=log, text=True,
                )
            )  # fmt: skip
        try:
            for process in processes:
                assert process.stdout is not None
                assert process.stdout.readline(), "a node did not start"
            yield
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait(30)
                assert process.stdout is not None
                process.stdout.close()
