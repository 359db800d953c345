"""Bulk issue: documents validated, signed and logged durably from one call."""

import tempfile
import time
from pathlib import Path

from bench.homes import certificates
from bench.limits import Figure, signatures_per_s
from node.office.issue import issue
from node.office.officer import Officer
from node.wiring import open_node
from tests.nodes import make_homes


def measure(runs: int, count: int) -> list[Figure]:
    figure = Figure("bulk issue", "sign rate of one thread", "≥ 0.2", "0.4", "documents/s")
    with tempfile.TemporaryDirectory() as folder:
        homes = make_homes(Path(folder), "RU", "BY")
        with open_node(homes["RU"]) as own:
            issue(own, certificates(1), Officer())  # schemas and keys are loaded
            for run in range(1, runs + 1):
                batch = certificates(count, run * 1_000_000)
                before = signatures_per_s()
                began = time.perf_counter()
                issue(own, batch, Officer("Moscow"))
                took = time.perf_counter() - began
                figure.add(count / took, before, signatures_per_s())
    return [figure]
