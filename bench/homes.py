"""Homes and certificates for the benchmarks."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from node.authority import OwnAuthority
from node.exchange.send import Sender
from node.ids import Authority
from node.ledger import entries, peers
from node.office.issue import issue
from node.office.officer import Officer
from tests.nodes import shipments

LOT = 500


def certificates(count: int, start: int = 0) -> list[Any]:
    """Shipments from RU to BY, alike but for their numbers."""
    samples = [s for s in shipments("RU", "BY", 20) if "source_certificates" not in s]
    return [
        samples[n % len(samples)] | {"number": f"RU{10_000_000 + start + n}"} for n in range(count)
    ]


def issue_all(own: OwnAuthority, count: int, first: int = 0) -> None:
    for start in range(0, count, LOT):
        issue(own, certificates(min(LOT, count - start), first + start), Officer())


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


@contextmanager
def serving(home: Path) -> Iterator[subprocess.Popen[str]]:
    """A node as a process of its own."""
    with (home / "serve.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "node.cli", "--home", str(home), "serve"],
            stdout=subprocess.PIPE, stderr=log, text=True,
        )  # fmt: skip
    assert process.stdout is not None
    try:
        assert process.stdout.readline(), (home / "serve.log").read_text()
        yield process
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()
