"""Audit: `ledger verify` of everything, as an operator runs it."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.homes import issue_all
from bench.limits import Figure, verifications_per_s
from node.wiring import open_node
from tests.nodes import make_homes


def measure(runs: int, count: int) -> list[Figure]:
    figure = Figure("audit", "V2", "≥ 0.6", "0.8", "signatures/s")
    with tempfile.TemporaryDirectory() as folder:
        homes = make_homes(Path(folder), "RU", "BY")
        with open_node(homes["RU"]) as own:
            issue_all(own, count)
        for _ in range(runs):
            before = verifications_per_s(2)
            began = time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-m", "node.cli", "--json", "--home", str(homes["RU"]),
                 "ledger", "verify"], capture_output=True, check=True,
            )  # fmt: skip
            took = time.perf_counter() - began
            assert json.loads(done.stdout)["signatures"] == count
            figure.add(count / took, before, verifications_per_s(2))
    return [figure]
