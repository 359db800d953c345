"""`make bench`: print a table, write JSON to bench/results/."""

import json
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path

from bench.issue import measure_issue

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    figures = [measure_issue()]
    for figure in figures:
        print(figure.line())
    RESULTS.mkdir(exist_ok=True)
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    path = RESULTS / f"{moment}.json"
    about = {"python": sys.version.split()[0], "machine": platform.machine(), "at": moment}
    path.write_text(json.dumps({**about, "figures": [f.as_json() for f in figures]}, indent=2))
    print(f"written to {path.relative_to(Path.cwd())}" if path.is_relative_to(Path.cwd()) else path)


if __name__ == "__main__":
    main()
