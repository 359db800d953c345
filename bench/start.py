"""Start: how long `kpnode --help` and `kpnode status` take, as a person waits for them."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.limits import Figure
from tests.nodes import make_homes


def measure(runs: int, _: int) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        home = str(make_homes(Path(folder), "RU", "BY")["RU"])
        figures = []
        for name, arguments, limit_ms in (("--help", ["--help"], 300), ("status", ["status"], 500)):
            figure = Figure(f"kpnode {name}", f"{limit_ms} ms", "≤ 1", "", "ms")
            for _ in range(runs):
                began = time.perf_counter()
                subprocess.run(
                    [sys.executable, "-m", "node.cli", "--home", home, *arguments],
                    capture_output=True, check=True,
                )  # fmt: skip
                figure.add(1000 * (time.perf_counter() - began), limit_ms, limit_ms)
            figures.append(figure)
    return figures
