"""A year of the scheme: 55,000 certificates among sixty authorities, issued, exchanged, confirmed.

python -m bench.year [--share 1.0] [--largest N]

Every authority is a node, a process of its own; all share this machine, also with two programs that
issue and confirm at each in turn, and have the numbers that came in from its ledger. The certificates
of each pair are those of `workload.csv`, with carats and values that are log-normal about the pair's
means.
Measured, once all have met their peers: from the first call that issues to the last receipt for a
confirmation, against the time that two threads need for nothing but the signatures that have to be
verified on the way.
"""

import argparse
import csv
import json
import math
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Any

from bench.homes import LOT, Node, add_peers, make_nodes, serving_all
from bench.limits import verifications_per_s
from node.crew import seldom_collect
from node.ledger.database import Transaction
from node.ledger.sqlite import sqlite3
from node.office.confirm import confirm
from node.office.issue import issue
from node.office.officer import Officer
from node.wiring import open_node
from tests.nodes import shipments

SPREAD = 1.1
"""Of the logarithm of a certificate's carats."""

PRICE_SPREAD = 0.3
WORKERS = 2
PATIENCE_S = 1800.0


@dataclass(frozen=True)
class Pair:
    """What one authority exports to another in a year."""

    exporter: str
    importer: str
    certificates: int
    mean_carats: float
    usd_per_carat: float
    mixed_share: float


def main(share: float, largest: int) -> dict[str, Any]:
    pairs = among_largest(list(workload(share)), largest)
    authorities = sorted({p.exporter for p in pairs} | {p.importer for p in pairs})
    with tempfile.TemporaryDirectory(prefix="kpnode-year-") as folder:
        nodes = make_nodes(Path(folder), authorities)
        by_name = {node.authority: node for node in nodes}
        peers: dict[str, set[str]] = {name: set() for name in authorities}
        for pair in pairs:
            peers[pair.exporter].add(pair.importer)
            peers[pair.importer].add(pair.exporter)
        for node in nodes:
            add_peers(node, [by_name[name] for name in sorted(peers[node.authority])])
        before = verifications_per_s(2)
        with serving_all(nodes):
            # A node that starts says so to all its peers; that is no part of the year.
            _wait(nodes, lambda node: _met(node) == len(peers[node.authority]))
            met = sum(_manifests(node) for node in nodes)
            steps = _exchange(nodes, pairs)
        limit = (before + verifications_per_s(2)) / 2
        documents = sum(
            _accepted(node, k) for node in nodes for k in ("certificate", "confirmation")
        )
        manifests = sum(_manifests(node) for node in nodes) - met
    total = sum(p.certificates for p in pairs)
    assert documents == 2 * total, f"{documents} documents accepted, expected {2 * total}"
    # Each document once; of each exchange the manifest, the receipt, and a checkpoint in either.
    verifications = documents + 4 * manifests
    wall = steps["confirmed_s"]
    return {
        "authorities": len(nodes), "certificates": total, "bundles": manifests,
        "verifications": verifications, "V2": round(limit),
        "least_s": round(verifications / limit, 1), **{k: round(v, 1) for k, v in steps.items()},
        "ratio": round(wall / (verifications / limit), 2),
    }  # fmt: skip


def workload(share: float) -> Iterator[Pair]:
    """The pairs, with a share of their certificates, at least one each."""
    with (Path(__file__).parent / "workload.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            count = max(1, round(share * int(row["certificates"])))
            yield Pair(
                row["exporter"], row["importer"], count, float(row["mean_carats"]),
                float(row["usd_per_carat"]), float(row["mixed_share"]),
            )  # fmt: skip


def among_largest(pairs: list[Pair], count: int) -> list[Pair]:
    """The pairs among those authorities that issue and receive most."""
    volume: Counter[str] = Counter()
    for pair in pairs:
        volume[pair.exporter] += pair.certificates
        volume[pair.importer] += pair.certificates
    chosen = {name for name, _ in volume.most_common(count)}
    return [p for p in pairs if {p.exporter, p.importer} <= chosen]


def _exchange(nodes: list[Node], pairs: list[Pair]) -> dict[str, float]:
    """Seconds since the start at which all was issued, exchanged and confirmed."""
    exports = {
        name: list(group)
        for name, group in groupby(
            sorted(pairs, key=lambda p: p.exporter), lambda p: p.exporter
        )
    }  # fmt: skip
    expected = {n.authority: 0 for n in nodes}
    for pair in pairs:
        expected[pair.importer] += pair.certificates
    largest_first = sorted(
        nodes, key=lambda n: -sum(p.certificates for p in exports.get(n.authority, []))
    )
    steps: dict[str, float] = {}
    with ProcessPoolExecutor(WORKERS, get_context("spawn"), seldom_collect) as pool:
        list(pool.map(abs, range(WORKERS)))  # they are there, and have imported what they need
        began = time.monotonic()
        list(pool.map(_issue, [(n.home, exports.get(n.authority, [])) for n in largest_first]))
        steps["issued_s"] = time.monotonic() - began
        _wait(nodes, lambda node: _received(node) == expected[node.authority])
        steps["exchanged_s"] = time.monotonic() - began
        by_imports = sorted(nodes, key=lambda n: -expected[n.authority])
        list(pool.map(_confirm, [n.home for n in by_imports]))
        _wait(nodes, lambda node: _unacknowledged(node) == 0)
        steps["confirmed_s"] = time.monotonic() - began
    return steps


def _issue(work: tuple[Path, list[Pair]]) -> None:
    home, pairs = work
    if not pairs:
        return
    with open_node(home) as own:
        number = 0
        for pair in pairs:
            random = Random(f"{pair.exporter} {pair.importer}")
            made = []
            for _ in range(pair.certificates):
                number += 1
                made.append(_shipment(pair, number, random))
            for at in range(0, len(made), LOT):
                issue(own, made[at : at + LOT], Officer("Head office"))


def _confirm(home: Path) -> None:
    with open_node(home) as own:
        numbers = own.ledger.read(_numbers_here)
        for at in range(0, len(numbers), LOT):
            confirm(own, numbers[at : at + LOT], Officer("Head office"))


def _numbers_here(tx: Transaction) -> list[str]:
    """Of all that came in; who confirms has them on paper before him."""
    rows = tx.execute("SELECT number FROM certificates WHERE side = 'importer' ORDER BY number")
    return [number for (number,) in rows]


def _shipment(pair: Pair, number: int, random: Random) -> dict[str, Any]:
    carats = pair.mean_carats * math.exp(random.gauss(0, SPREAD) - SPREAD**2 / 2)
    price = pair.usd_per_carat * math.exp(random.gauss(0, PRICE_SPREAD))
    amounts = {
        "carats": f"{max(carats, 0.01):.2f}", "value_usd": f"{max(carats * price, 0.01):.2f}"
    }  # fmt: skip
    mixed = random.random() < pair.mixed_share
    return _SAMPLE | {
        "from": pair.exporter, "to": pair.importer, "number": f"{pair.exporter}{number:08}",
        "provenance": pair.exporter, "destination": pair.importer, "mixed_origin": mixed,
        "mining_origins": [] if mixed else [pair.exporter], "totals": amounts,
        "lines": [{"hs": "7102.31", "description": "unworked", **amounts}],
    }  # fmt: skip


_SAMPLE = shipments("RU", "BY")[0]


def _wait(nodes: list[Node], done: Any) -> None:
    until = time.monotonic() + PATIENCE_S
    left = list(nodes)
    while left := [node for node in left if not done(node)]:
        assert time.monotonic() < until, f"{len(left)} nodes did not come to an end"
        print(f"\r{len(left)} nodes still exchange ", end="", file=sys.stderr, flush=True)
        time.sleep(0.2)


def _met(node: Node) -> int:
    """Peers that have answered a manifest."""
    return _one(node, "SELECT count(*) FROM peers WHERE last_out IS NOT NULL AND in_flight IS NULL")


def _manifests(node: Node) -> int:
    return _one(node, "SELECT count(*) FROM sent")


def _accepted(node: Node, kind: str) -> int:
    return _one(
        node, f"SELECT count(*) FROM documents WHERE typ = 'vnd.kp.{kind}.v1+jwt' AND iss <> ?",
        node.authority,
    )  # fmt: skip


def _received(node: Node) -> int:
    """As `_accepted` for certificates, from an index: this is asked again and again."""
    return _one(node, "SELECT count(*) FROM certificates WHERE side = 'importer'")


def _unacknowledged(node: Node) -> int:
    """Documents queued for peers beyond what they have acknowledged."""
    return _one(
        node, "SELECT count(*) FROM stream_out s JOIN peers p ON p.authority = s.peer "
        "WHERE s.position > p.acknowledged",
    )  # fmt: skip


def _one(node: Node, sql: str, *values: str) -> int:
    with closing(sqlite3.connect(node.home / "data" / "node.db")) as db:
        return int(db.execute(sql, values).fetchone()[0])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--share", type=float, default=1.0, help="Of each pair's certificates.")
    parser.add_argument("--largest", type=int, default=60, help="Only among so many authorities.")
    asked = parser.parse_args()
    print(json.dumps(main(asked.share, asked.largest), indent=2))
