"""The demo, as the README's first command runs it: three processes, and an exit code that tells the truth."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from node.demo.story import sample
from tests import shared

ROOT = Path(__file__).parents[1]


def test_the_demo_holds_and_says_so() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "node.cli", "demo", "--json"],
        capture_output=True, text=True, cwd=ROOT, timeout=150, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["issued"], told["delivered"], told["verified"]) == (60, 60, 60)
    assert told["confirmed"] >= 20
    expected = [(c["shipment"]["number"], c["code"]) for c in sample("shipments_refused.json")]
    assert [(r["number"], r["code"]) for r in told["refused"]] == expected
    assert [(s["exporter"], s["importer"]) for s in told["life"]] == [
        ("confirmed as amended", "admitted as amended"), ("lapsed", "returned"), ("void", "void"),
    ]  # fmt: skip
    assert told["tampered"] == {"code": "bad-signature"}
    assert told["replayed"] == {"same_receipt": True}
    assert told["interrupted"] == {"lost": 0, "doubled": 0}
    for way in ("carried", "pulled"):
        assert (told[way]["exporter"], told[way]["importer"]) == ("confirmed", "admitted")
    assert told["rewritten"]["code"] == "log-fork"
    assert {"held", "shown", "manifest"} <= set(told["rewritten"]["evidence"])
    assert "rewritten" in told["rewritten"]["means"]
    assert told["ledgers"].keys() == {"RU", "BY", "EU-BE"}
    assert all(ledger["ok"] for ledger in told["ledgers"].values())
    assert told["seconds"] > 0
    assert "failures" not in told


@pytest.mark.parametrize("name", ["shipments.json", "shipments_refused.json"])
def test_the_sample_data_is_that_of_the_shared_folder(name: str) -> None:
    assert sample(name) == shared.load(f"data/{name}")
