"""Pages: how long each takes with sixty peers and a hundred thousand certificates."""

import tempfile
import time
import urllib.request
from datetime import date
from pathlib import Path
from statistics import quantiles

from bench.homes import add_peers, issue_all, make_nodes
from bench.limits import Figure
from node.domain.reference import reference
from node.wiring import open_node
from tests.nodes import serving

LIMIT_MS = 50
ASKED = 20
PATHS = ("/", "/peers/BY", "/queue", "/certificates", "/certificates?party=Sample",
         "/certificates/RU10000001", "/incidents", "/ledger", "/system", "/metrics")  # fmt: skip


def measure(runs: int, count: int) -> list[Figure]:
    figures = {path: Figure(f"page {path}", f"{LIMIT_MS} ms", "≤ 1", "", "ms") for path in PATHS}
    with tempfile.TemporaryDirectory() as folder:
        names = sorted({"RU", "BY", *reference().participants_on(date.today())})[:61]
        nodes = {n.authority: n for n in make_nodes(Path(folder), sorted({"RU", "BY", *names}))}
        add_peers(nodes["RU"], list(nodes.values()))
        home = nodes["RU"].home
        with open_node(home) as own:
            issue_all(own, count)
            console = own.config.node.console
        with serving(home):
            time.sleep(5)  # the couriers have tried all their peers, of which none is there
            for _ in range(runs):
                for path, figure in figures.items():
                    times = [
                        _ms(f"http://{console.host}:{console.port}{path}") for _ in range(ASKED)
                    ]
                    figure.add(quantiles(times, n=20)[18], LIMIT_MS, LIMIT_MS)
    return list(figures.values())


def _ms(url: str) -> float:
    began = time.perf_counter()
    with urllib.request.urlopen(url) as answer:
        answer.read()
    return 1000 * (time.perf_counter() - began)
