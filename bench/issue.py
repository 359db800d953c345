"""`issue` of 60 shipments: time inside the process against 60 signatures and one durable commit."""

import tempfile
import time
from pathlib import Path

from bench.limits import Figure, commit_s, signatures_s
from node.office.issue import issue
from node.office.officer import Officer
from node.wiring import open_node
from tests.nodes import make_homes, shipments

COUNT = 60
RUNS = 7
ROW_BYTES = 2000


def measure_issue() -> Figure:
    figure = Figure("issue of 60", "(60 signatures + one durable commit)", "≤ 5 ×")
    sample = shipments(count=30) * 2
    with tempfile.TemporaryDirectory() as folder:
        homes = make_homes(Path(folder), "RU", "EU-BE")
        with open_node(homes["RU"]) as own:
            issue(own, [_numbered(sample[0], 0)], Officer())  # schemas and keys are loaded
            for run in range(1, RUNS + 1):
                batch = [_numbered(s, run * 1000 + n) for n, s in enumerate(sample)]
                before = _limit()
                began = time.perf_counter()
                issue(own, batch, Officer("Moscow"))
                figure.seconds.append(time.perf_counter() - began)
                figure.limits.append((before + _limit()) / 2)
    return figure


def _limit() -> float:
    return signatures_s(COUNT) + commit_s(COUNT, ROW_BYTES)


def _numbered(shipment: dict, number: int) -> dict:
    return shipment | {"number": f"RU{number:08}"}
