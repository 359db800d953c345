"""`make bench`: print a table, write JSON to bench/results/.

python -m bench [--runs 5] [--small] [FIGURE...]
"""

import argparse
import json
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path

from bench import api, audit, issue, pages, push, receive, start
from bench.limits import (
    HEADER,
    Figure,
    by_libsodium_per_s,
    rows_per_s,
    signatures_per_s,
    verifications_per_s,
)

RESULTS = Path(__file__).parent / "results"
FIGURES = {
    "receive": (receive, 20_000),
    "push": (push, 1000),
    "issue": (issue, 2000),
    "audit": (audit, 50_000),
    "api": (api, 40),
    "pages": (pages, 100_000),
    "start": (start, 0),
}
"""By name: what measures it, and how many documents a run takes."""

SMALL = 50
"""Divides the documents where only the harness is to be tried."""


def main(names: list[str], runs: int, *, small: bool) -> list[Figure]:
    figures: list[Figure] = []
    for name in names or FIGURES:
        module, count = FIGURES[name]
        print(f"{name} …", file=sys.stderr)
        figures += module.measure(runs, max(count // SMALL, 1) if small else count)
    return figures


def limits() -> dict[str, float]:
    """The machine's limits, by themselves."""
    return {
        "V1": verifications_per_s(1), "V2": verifications_per_s(2),
        "V2, libsodium": by_libsodium_per_s(2),
        "sign": signatures_per_s(), "S": rows_per_s(),
    }  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figures", nargs="*", choices=[*FIGURES, []], metavar="FIGURE")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--small", action="store_true", help="Try the harness; times mean nothing.")
    asked = parser.parse_args()
    measured = main(asked.figures, asked.runs, small=asked.small)
    print(HEADER)
    for figure in measured:
        print(figure.row())
    RESULTS.mkdir(exist_ok=True)
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    path = RESULTS / f"{moment}.json"
    about = {
        "python": sys.version.split()[0], "machine": platform.machine(), "at": moment,
        "limits": limits(),
    }  # fmt: skip
    path.write_text(json.dumps({**about, "figures": [f.as_json() for f in measured]}, indent=2))
    print(json.dumps(about))
