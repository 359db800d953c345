"""Growth: a node with the whole scheme's history of 23 years, beside one whose ledger is empty.

python -m bench.growth --folder DIR [--certificates 1400000] [--receive 10000]

Certificates are issued, bundled, received, receipted and confirmed through the real path; a run
that was ended goes on where it was. 1.4 million take some hours and 12 GB in DIR. Measured then, on
the importer's node: bulk receive as in `bench.receive`, against an empty ledger and before and after
it; certificates by number and by party; start and memory of `serve`.
"""

import argparse
import asyncio
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from bench.homes import bundles, issue_all
from bench.receive import DOCUMENTS, post
from node.authority import OwnAuthority
from node.crew import seldom_collect
from node.errors import ProblemError
from node.exchange.acknowledge import Acknowledger
from node.exchange.receive import Receiver
from node.exchange.send import Sender
from node.ids import Authority
from node.ledger import certificates, entries
from node.office.confirm import confirm
from node.office.issue import issue
from node.office.officer import Officer
from node.wiring import open_node
from tests.nodes import make_homes, serving, shipments

LOT = 1000
PARTIES = 2000
"""Firms on each side; the scheme has some thousands that trade."""

CONFIRMED = 10
"""One certificate in so many is confirmed: answers are in the ledger, too."""

PROBED = 2000
RECEIVED = 10_000


def main(folder: Path, count: int, received: int) -> dict[str, Any]:
    seldom_collect()
    fill(folder, count)
    empty = tempfile.mkdtemp(dir=folder)
    try:
        fill(Path(empty), LOT)
        rates: dict[str, list[float]] = {"empty": [], "grown": []}
        for name, home in (("empty", empty), ("grown", folder), ("empty", empty)):
            rates[name].append(received_per_s(Path(home), received))
    finally:
        shutil.rmtree(empty)
    figures = look_up(folder)
    figures |= start_and_memory(folder / "BY")
    with open_node(folder / "BY") as own:
        size = own.ledger.read(entries.size)
        database = own.config.node.database.stat().st_size
    return {
        "certificates": count, "entries": size, "database_bytes": database,
        "bytes_per_certificate": round(database / count),
        "receive_empty_per_s": round(sum(rates["empty"]) / 2),
        "receive_grown_per_s": round(rates["grown"][0]),
        "receive_ratio": round(rates["grown"][0] / (sum(rates["empty"]) / 2), 2), **figures,
    }  # fmt: skip


def fill(folder: Path, count: int) -> None:
    """Bring both nodes of a folder to so many certificates."""
    if not (folder / "BY").exists():
        make_homes(folder, "RU", "BY")
    with open_node(folder / "RU") as ru, open_node(folder / "BY") as by:
        done = by.ledger.read(_held)
        there_and_back(ru, by)  # what a run that was ended had left
        began = time.monotonic()
        for start in range(done, count, LOT):
            issue(ru, _certificates(start, min(LOT, count - start)), Officer("Moscow"))
            numbers = [_number(n) for n in range(start, min(start + LOT, count), CONFIRMED)]
            there_and_back(ru, by)
            confirm(by, numbers, Officer("Minsk"))
            there_and_back(by, ru)
            there_and_back(ru, by)
            if start % (10 * LOT) == 0:
                rate = (start + LOT - done) / (time.monotonic() - began)
                left = (count - start) / rate
                print(f"\r{start + LOT:,} of {count:,}, {rate:,.0f}/s, {left:,.0f} s left ",
                      end="", file=sys.stderr, flush=True)  # fmt: skip


def there_and_back(one: OwnAuthority, other: OwnAuthority) -> None:
    """Deliver all that waits, by the very parts that `serve` uses, without HTTP between them."""
    sender, acknowledger, receiver = Sender(one), Acknowledger(one), Receiver(other)
    heartbeat = True  # so that each knows in the end what the other holds of its log
    while (bundle := sender.next_bundle(other.name, heartbeat=heartbeat)) is not None:
        manifest, _, rest = bundle.raw.partition(b"\n")
        try:
            receipt = receiver.receive(receiver.open(manifest), rest)
        except ProblemError as problem:
            if problem.code != "proof-needed":
                raise
            sender.proof_needed(other.name, problem.members["held"])
            continue
        acknowledger.accept(other.name, bundle.manifest, receipt)
        heartbeat = False


def received_per_s(folder: Path, count: int) -> float:
    """Documents a second by `bench.receive`'s way, into the ledger as it is; undone afterwards."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        copies = {name: Path(place) / name for name in ("RU", "BY")}
        for name, home in copies.items():
            shutil.copytree(folder / name, home)
        os.sync()  # else the disk would be busy with the copies
        with open_node(copies["RU"]) as own:
            issue_all(own, count, 80_000_000)
            made = bundles(own, "BY", DOCUMENTS)
            url = own.book.settings[Authority("BY")].url
        with serving(copies["BY"]):
            took, _ = asyncio.run(post(url, [made]))
    return count / took


def look_up(folder: Path) -> dict[str, Any]:
    """Milliseconds for a certificate by number, and for a page by party."""
    with open_node(folder / "BY") as own:
        held = own.ledger.read(_held)
        rng = random.Random(held)
        numbers = [_number(rng.randrange(held)) for _ in range(PROBED)]
        parties = [f"Exporter {rng.randrange(PARTIES):04} " for _ in range(PROBED // 20)]

        def by_number(number: str) -> None:
            assert own.ledger.read(lambda tx: certificates.by_number(tx, number))

        def by_party(party: str) -> None:
            found = own.ledger.read(
                lambda tx: certificates.listed(tx, None, None, "", 50, party=party)
            )
            assert all(party in one.body["exporter"]["name"] for one in found)

        for_number = _times_ms(by_number, numbers)
        for_party = _times_ms(by_party, parties)
    return {
        "by_number_median_ms": round(median(for_number), 3),
        "by_number_p99_ms": round(quantiles(for_number, n=100)[98], 3),
        "by_party_median_ms": round(median(for_party), 2),
        "by_party_worst_ms": round(max(for_party), 2),
    }


def start_and_memory(home: Path) -> dict[str, Any]:
    """Seconds until both listeners accept, `kpnode status`, and resident memory."""
    began = time.monotonic()
    with serving(home) as process:
        started = time.monotonic() - began
        began = time.monotonic()
        kpnode = [sys.executable, "-m", "node.cli", "--home", str(home)]
        subprocess.run([*kpnode, "status"], capture_output=True, check=True)
        status = time.monotonic() - began
        time.sleep(5)
        resident = _resident_bytes(process.pid)
    return {
        "start_s": round(started, 2), "status_s": round(status, 2),
        "resident_mb": round(resident / 1e6),
    }  # fmt: skip


def _resident_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _times_ms(act: Callable[[str], None], given: list[str]) -> list[float]:
    times = []
    for one in given:
        began = time.perf_counter()
        act(one)
        times.append(1000 * (time.perf_counter() - began))
    return times


def _held(tx: Any) -> int:
    (count,) = tx.execute("SELECT count(*) FROM certificates").fetchone()
    return int(count)


def _number(n: int) -> str:
    return f"RU{10_000_000 + n}"


def _certificates(start: int, count: int) -> list[Any]:
    samples = [s for s in shipments("RU", "BY", 20) if "source_certificates" not in s]
    made = []
    for n in range(start, start + count):
        sample = samples[n % len(samples)]
        exporter = {**sample["exporter"], "name": f"Exporter {n * 7 % PARTIES:04} JSC"}
        importer = {**sample["importer"], "name": f"Importer {n * 11 % PARTIES:04} OJSC"}
        made.append(sample | {"number": _number(n), "exporter": exporter, "importer": importer})
    return made


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--certificates", type=int, default=1_400_000)
    parser.add_argument("--receive", type=int, default=RECEIVED, help="So many are timed.")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    print(json.dumps(main(asked.folder, asked.certificates, asked.receive), indent=2))
