"""The benchmarks run, in small: that their harness is right, not how fast anything is."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def run(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_figure_is_a_ratio_to_a_limit_of_the_same_run() -> None:
    told = run("bench", "--small", "--runs", "1")

    for name in (
        "bulk receive from one authority",
        "bulk receive from two at once",
        "push, 16 callers",
        "bulk issue",
        "audit",
        "kpnode status",
        "page /",
        "API, issue one by one",
    ):
        assert f"| {name} |" in told
    limits = json.loads(told.splitlines()[-1])["limits"]
    assert limits.keys() == {"V1", "V2", "V2, libsodium", "sign", "S"}


def test_growth_is_measured_beside_an_empty_ledger(tmp_path: Path) -> None:
    told = json.loads(
        run("bench.growth", "--folder", str(tmp_path), "--certificates", "1200", "--receive", "50")
    )

    assert told["entries"] > told["certificates"] == 1200
    assert told["receive_ratio"] > 0


def test_a_year_is_issued_exchanged_and_confirmed() -> None:
    told = json.loads(run("bench.year", "--share", "0.001", "--largest", "4"))

    assert told["authorities"] == 4
    assert told["verifications"] > 2 * told["certificates"] > 0


def test_healthy_peers_are_compared_with_and_without_sick_ones() -> None:
    told = json.loads(
        run("bench.isolation", "--nodes", "5", "--dead", "1", "--slow", "1", "--seconds", "2")
    )

    assert told["with_deliveries"] > 0
    assert told["p95_ratio"] > 0
