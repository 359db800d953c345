"""Real nodes for tests: real keys, real SQLite files, and a clock that the test sets (simulated)."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from click.testing import CliRunner

from node.authority import OwnAuthority
from node.cli.app import main
from node.demo.nodes import free_ports
from node.demo.story import sample
from node.office.officer import Officer
from node.office.sources import admit_paper
from node.wiring import open_node, read_config


@dataclass
class SetClock:
    """A simulated clock: it stands still until the test moves it."""

    moment: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))

    def now(self) -> datetime:
        return self.moment

    def advance(self, **delta: float) -> None:
        self.moment += timedelta(**delta)


def kpnode(*arguments: str) -> Any:
    """Run a command in this process; it must succeed."""
    done = CliRunner().invoke(main, list(arguments), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done


def make_homes(
    folder: Path,
    *authorities: str,
    in_use_since: datetime | None = None,
    other_keys: bool = False,
) -> dict[str, Path]:
    """Homes whose nodes are each other's peers; their keys may be told to be older than they are.

    They are made by the commands once for all tests, and copied, with ports of their own: two homes
    of an authority have the same keys, unless others are asked for.
    """
    made, former = _made(authorities, in_use_since, folder if other_keys else None)
    ports = free_ports(2 * len(authorities))
    homes = {name: folder / name for name in authorities}
    for name, home in homes.items():
        shutil.copytree(Path(made.name) / name, home)
        settings = home / "peers.toml"
        text = settings.read_text("utf-8")
        for old, new in zip(former, ports, strict=True):
            text = text.replace(f"localhost:{old}", f"localhost:{new}")
        settings.write_text(text, "utf-8")
    return homes


@cache
def _made(
    authorities: tuple[str, ...], in_use_since: datetime | None, _for: Path | None
) -> tuple[TemporaryDirectory[str], list[int]]:
    """Homes to copy, and the ports in their settings; others for each folder that is named."""
    made = TemporaryDirectory(prefix="kpnode-homes-")
    ports = free_ports(2 * len(authorities))
    urls = {a: f"http://localhost:{ports[2 * n]}" for n, a in enumerate(authorities)}
    homes = {a: Path(made.name) / a for a in authorities}
    for number, authority in enumerate(authorities):
        kpnode(
            "init", str(homes[authority]), "--authority", authority, "--name", f"Sample {authority}",
            "--url", urls[authority], "--console", f"localhost:{ports[2 * number + 1]}", "--sandbox",
        )  # fmt: skip
    for authority in authorities if in_use_since else ():
        path = homes[authority] / "keys" / f"{authority}.jwks.json"
        keys = json.loads(path.read_text("utf-8"))
        for key in keys["keys"]:
            key["kp_not_before"] = int(in_use_since.timestamp())  # type: ignore[union-attr]
        path.write_text(json.dumps(keys), "utf-8")
    for authority in authorities:
        for other in authorities:
            if other != authority:
                jwks = str(homes[other] / "keys" / f"{other}.jwks.json")
                kpnode(
                    "--home", str(homes[authority]), "peer", "add", other,
                    "--url", urls[other], "--jwks", jwks,
                )  # fmt: skip
    return made, ports


@contextmanager
def serving(home: Path) -> Iterator[subprocess.Popen[str]]:
    """A node as a process of its own."""
    with (home / "serve.log").open("a") as log:
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


@contextmanager
def opened(homes: dict[str, Path], clock: SetClock) -> Iterator[dict[str, OwnAuthority]]:
    """All nodes of some homes, on one clock."""
    with contextmanager(_open_all)(list(homes.items()), clock) as nodes:
        yield nodes


def _open_all(homes: list[tuple[str, Path]], clock: SetClock) -> Iterator[dict[str, OwnAuthority]]:
    if not homes:
        yield {}
        return
    (authority, home), *rest = homes
    with (
        open_node(home, clock=clock) as own,
        contextmanager(_open_all)(rest, clock) as others,
    ):
        yield {authority: own, **others}


def shipments(sender: str = "RU", to: str = "EU-BE", count: int = 1, start: int = 0) -> list[Any]:
    """Sample shipments of a pair."""
    fitting = [s for s in sample("shipments.json") if s["from"] == sender and s["to"] == to]
    return fitting[start : start + count]


def mined_here(sender: str = "EU-BE", to: str = "RU") -> list[Any]:
    """The first sample shipment of a pair as if its goods were mined at the sender's: no re-export."""
    (sample,) = shipments(sender, to)
    own = {"mining_origins": [sample["exporter"]["country"]], "mixed_origin": False}
    return [{k: v for k, v in sample.items() if k != "source_certificates"} | own]


def admit_sources(own: OwnAuthority, re_exports: list[Any]) -> None:
    """Put on record, from their paper, that the sources of re-exports came in."""
    for shipment in re_exports:
        for source in shipment["source_certificates"]:
            told = {"issuer": source["number"][:2], "carats": source["carats"]}

            day = own.clock.now().date().isoformat()
            admit_paper(own, source["number"], Officer(), received_on=day, **told)


def set_mode(own: OwnAuthority, peer: str, mode: str, *, url: bool = True) -> None:
    """Change how a node exchanges with a peer, as an operator would: in peers.toml."""
    path = own.config.home / "peers.toml"
    head, *tables = path.read_text("utf-8").split("\n[[peer]]\n")
    for number, table in enumerate(tables):
        if f'authority = "{peer}"' in table:
            kept = [
                line
                for line in table.splitlines()
                if not line.startswith("mode") and (url or not line.startswith("url"))
            ]
            tables[number] = "\n".join([*kept, f'mode = "{mode}"', ""])
    path.write_text("\n[[peer]]\n".join([head, *tables]), "utf-8")
    own.reload_peers(read_config(own.config.home))
