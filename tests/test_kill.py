"""Real processes, killed before each effect that the docs list, then started again.

Nothing acknowledged is lost, nothing is there twice, streams and trees agree. `make soak` repeats
it at later occurrences of each effect.
"""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from node.authority import OwnAuthority
from node.ledger import certificates, entries, peers, streams, witness
from node.office.issue import issue
from node.office.officer import Officer
from node.wiring import open_node
from tests.nodes import make_homes, shipments
from tests.test_ledger import audited

ROOT = Path(__file__).parents[1]
EFFECTS = {
    "issue.commit": "RU",
    "confirm.commit": "EU-BE",
    "send.manifest": "RU",
    "send.release": "RU",
    "send.post": "RU",
    "send.receipt": "RU",
    "receive.commit": "EU-BE",
    "receive.release": "EU-BE",
    "receive.answer": "EU-BE",
}
"""Each effect, and the node that is killed before it."""

NEVER = "never"
PATIENCE_S = 30


def command(home: Path, effect: str, occurrence: int, *verb: str) -> list[str]:
    return [sys.executable, "-m", "tests.faulty_node", str(home), effect, str(occurrence), *verb]


@contextmanager
def serving(
    home: Path, effect: str = NEVER, occurrence: int = 1
) -> Iterator[subprocess.Popen[str]]:
    """A node as a process of its own, ready when this returns."""
    with (home / "serve.log").open("a") as log:
        process = subprocess.Popen(
            command(home, effect, occurrence, "serve"),
            stdout=subprocess.PIPE, stderr=log, text=True, cwd=ROOT,
        )  # fmt: skip
    assert process.stdout is not None
    try:
        assert process.stdout.readline() or process.wait(PATIENCE_S) == -signal.SIGKILL
        yield process
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE_S)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


def wait_until(own: OwnAuthority, what: Any, value: int, patience_s: float = PATIENCE_S) -> None:
    until = time.monotonic() + patience_s
    while own.ledger.read(what) != value:
        assert time.monotonic() < until, f"waited {patience_s} s"
        time.sleep(0.05)


def acknowledged(peer: str) -> Any:
    def query(tx: Any) -> int:
        state = peers.state(tx, peer)
        return state.acknowledged if state else 0

    return query


def killed(process: subprocess.Popen[str]) -> bool:
    try:
        return process.wait(PATIENCE_S) == -signal.SIGKILL
    except subprocess.TimeoutExpired:
        return False


def rounds(request: pytest.FixtureRequest) -> list[int]:
    """Which occurrence of the effect to kill at; the first, and for a soak seeded later ones."""
    count = int(request.config.getoption("--kills"))
    random = Random(20261122)
    return [1, *(random.randint(1, 3) for _ in range((count - 1) // len(EFFECTS)))]


@pytest.mark.parametrize(
    "effect", [e for e in EFFECTS if not e.endswith("commit") or "receive" in e]
)
def test_a_node_killed_in_the_exchange_loses_and_doubles_nothing(
    effect: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    for number, occurrence in enumerate(rounds(request)):
        homes = make_homes(tmp_path / str(number), "RU", "EU-BE")
        with open_node(homes["RU"]) as own:
            for batch in range(3):  # in bundles of 1, 2 and 3, so that later occurrences come up
                issue(own, shipments(count=2, start=2 * batch), Officer())
            own.ledger.write(lambda tx: peers.update(tx, "EU-BE", batch=1))
        victim = EFFECTS[effect]
        other = next(name for name in homes if name != victim)

        with serving(homes[other]), serving(homes[victim], effect, occurrence) as process:
            assert killed(process), f"{effect} did not come up"

            with serving(homes[victim]), open_node(homes["RU"]) as own:
                wait_until(own, acknowledged("EU-BE"), 6)

        _check_pair(homes, 6)


@pytest.mark.parametrize("effect", ["issue.commit", "confirm.commit"])
def test_an_act_killed_before_its_commit_did_not_happen_and_can_be_repeated(
    effect: str, tmp_path: Path
) -> None:
    homes = make_homes(tmp_path, "RU", "EU-BE")
    file = tmp_path / "shipments.json"
    file.write_text(json.dumps(shipments(count=2)))
    if effect == "confirm.commit":
        with open_node(homes["RU"]) as own:
            issue(own, shipments(count=2), Officer())
        with serving(homes["RU"]), serving(homes["EU-BE"]), open_node(homes["RU"]) as own:
            wait_until(own, acknowledged("EU-BE"), 2)
    victim = EFFECTS[effect]
    verb = ["issue", str(file)] if victim == "RU" else ["confirm", "RU00010118"]
    with open_node(homes[victim]) as own:
        before = own.ledger.read(entries.size)

    done = subprocess.run(command(homes[victim], effect, 1, *verb), cwd=ROOT, check=False)

    with open_node(homes[victim]) as own:
        assert done.returncode == -signal.SIGKILL
        assert own.ledger.read(entries.size) == before
        assert audited(own).ok
    again = subprocess.run(command(homes[victim], NEVER, 1, *verb), cwd=ROOT, check=False)
    assert again.returncode == 0


def test_the_docs_list_the_effects_that_are_tested() -> None:
    text = (ROOT / "docs" / "explanation" / "effects.md").read_text("utf-8")

    listed = set(re.findall(r"^\| `([a-z]+\.[a-z]+)`", text, re.MULTILINE))
    assert listed == EFFECTS.keys() | {"api.answer"}  # that one is tried in test_api


def _check_pair(homes: dict[str, Path], count: int) -> None:
    with open_node(homes["RU"]) as ru, open_node(homes["EU-BE"]) as be:
        sent = ru.ledger.read(lambda tx: streams.sent_place(tx, "EU-BE"))
        received = be.ledger.read(lambda tx: streams.received_place(tx, "RU"))
        assert sent == received
        assert sent is not None
        assert sent.position == count
        issued = ru.ledger.read(lambda tx: certificates.listed(tx, "exporter", None, "", 100))
        held = be.ledger.read(lambda tx: certificates.listed(tx, "importer", None, "", 100))
        assert [c.doc_id for c in issued] == [c.doc_id for c in held]
        assert {c.state for c in issued} == {"delivered"}
        for own, other, peer in ((ru, be, "EU-BE"), (be, ru, "RU")):
            assert audited(own).ok
            assert own.ledger.read(lambda tx, peer=peer: peers.incidents(tx, peer)) == []
            seen = own.ledger.read(lambda tx, peer=peer: witness.held(tx, peer))
            assert seen is not None
            assert seen.root == other.ledger.read(lambda tx, n=seen.size: entries.root(tx, n))
        receipts = [
            e for e in ru.ledger.read(lambda tx: entries.listed(tx, 0, 100)) if e.iss == "EU-BE"
        ]
        assert {e.doc_id for e in receipts} <= {
            e.doc_id for e in be.ledger.read(lambda tx: entries.listed(tx, 0, 100))
        }
