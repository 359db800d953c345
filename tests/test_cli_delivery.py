"""The commands of delivery as an operator types them: bundles as files, peers, probe, JSON and exit codes."""

import json
from pathlib import Path
from typing import Any

import pytest

from node.config import parse
from node.schema.validation import check
from node.wiring import open_node
from tests.nodes import shipments
from tests.serving import listening
from tests.test_cli import errors, result, run


@pytest.fixture
def ru(homes: dict[str, Path]) -> Path:
    return homes["RU"]


@pytest.fixture
def be(homes: dict[str, Path]) -> Path:
    return homes["EU-BE"]


def issued(home: Path, count: int = 1) -> None:
    result("--home", home, "issue", "-", stdin=json.dumps(shipments(count=count)))


class TestBundle:
    def test_a_certificate_goes_by_file_and_its_receipt_comes_back(
        self, ru: Path, be: Path, tmp_path: Path
    ) -> None:
        file = tmp_path / "to-be.kpb"
        issued(ru, 2)

        made = result("--home", ru, "bundle", "export", "--peer", "EU-BE", file)
        taken = result("--home", be, "bundle", "import", file)
        back = result("--home", ru, "bundle", "import", taken["receipt"])

        assert (made["file"], made["documents"], made["first"]) == (str(file), 2, 1)
        assert (taken["kind"], taken["from"], taken["accepted"]) == ("bundle", "RU", 2)
        assert taken["receipt"] == str(tmp_path / "to-be.kpr")
        assert (back["kind"], back["from"], back["receipt"]) == ("receipt", "EU-BE", None)
        (peer,) = result("--home", ru, "status")["peers"]
        assert (peer["out"]["lag"], peer["mode"]) == (0, "push")
        assert result("verify", "--home", be, file)["items"][0]["authentic"] is True

    def test_the_receipt_goes_where_it_is_wanted(self, ru: Path, be: Path, tmp_path: Path) -> None:
        issued(ru)
        file, wanted = tmp_path / "a.kpb", tmp_path / "elsewhere.kpr"
        result("--home", ru, "bundle", "export", "--peer", "EU-BE", file)

        taken = result("--home", be, "bundle", "import", file, "--receipt", wanted)

        assert taken["receipt"] == str(wanted)
        assert wanted.read_bytes().count(b".") == 2

    def test_a_bundle_is_never_overwritten_by_its_receipt(
        self, ru: Path, be: Path, tmp_path: Path
    ) -> None:
        issued(ru)
        file = tmp_path / "to-be.kpr"
        result("--home", ru, "bundle", "export", "--peer", "EU-BE", file)
        before = file.read_bytes()

        told = errors("--home", be, "bundle", "import", file, "--receipt", file, code=1)
        taken = result("--home", be, "bundle", "import", file)

        assert told[0]["code"] == "file-exists"
        assert taken["receipt"] == str(tmp_path / "to-be.kpr.kpr")
        assert (taken["accepted"], file.read_bytes()) == (1, before)

    def test_a_receipt_that_cannot_be_written_is_had_by_importing_again(
        self, ru: Path, be: Path, tmp_path: Path
    ) -> None:
        issued(ru)
        file = tmp_path / "a.kpb"
        result("--home", ru, "bundle", "export", "--peer", "EU-BE", file)

        (error,) = errors(
            "--home", be, "bundle", "import", file, "--receipt", tmp_path / "no" / "x.kpr", code=1
        )
        again = result("--home", be, "bundle", "import", file)

        assert error["code"] == "unusable-file"
        assert "--receipt" in error["detail"]
        assert again["accepted"] == 1

    @pytest.mark.parametrize(
        ("arguments", "code", "name"),
        [
            (("export", "--peer", "AO", "x.kpb"), 3, "not-found"),
            (("export", "--peer", "EU-BE", "/nowhere/x.kpb"), 1, "unusable-file"),
            (("export", "--peer", "EU-BE", "--proof-from", "9", "x.kpb"), 4, "bad-request"),
            (("import", "/nowhere/x.kpb"), 3, "not-found"),
            (("import", "peers.toml"), 4, "malformed-bundle"),
        ],
    )
    def test_what_cannot_be_done_says_why(
        self, ru: Path, monkeypatch: pytest.MonkeyPatch, arguments: Any, code: int, name: str
    ) -> None:
        monkeypatch.chdir(ru)
        before = sorted(path.name for path in ru.iterdir())

        (error,) = errors("bundle", *arguments, code=code)

        assert error["code"] == name
        assert sorted(path.name for path in ru.iterdir()) == before

    def test_refused_documents_are_told(self, ru: Path, be: Path, tmp_path: Path) -> None:
        issued(ru, 2)
        file = tmp_path / "a.kpb"
        result("--home", ru, "bundle", "export", "--peer", "EU-BE", file)
        with open_node(be) as own:
            from tests.test_exchange import _take_number

            own.ledger.write(lambda tx: _take_number(own, tx, "RU00010118"))

        done = run("--home", be, "bundle", "import", file)

        assert done.exit_code == 0
        assert "1 refused" in done.stdout
        assert "number-conflict" in done.stdout


class TestPeer:
    def test_a_peer_without_url_is_pull_or_carry(self, ru: Path, be: Path, tmp_path: Path) -> None:
        keys = be / "keys" / "EU-BE.jwks.json"
        text = (ru / "peers.toml").read_text().split("\n[[peer]]\n")[0]
        (ru / "peers.toml").write_text(text)

        assert run("--home", ru, "peer", "add", "EU-BE", "--jwks", keys).exit_code == 2
        made = result("--home", ru, "peer", "add", "EU-BE", "--jwks", keys, "--mode", "carry")

        assert made["url"] is None
        (peer,) = parse((ru / "peers.toml").read_bytes(), ru, check).peers
        assert (peer.url, peer.mode, peer.called) == ("", "carry", False)
        (row,) = result("--home", ru, "status")["peers"]
        assert (row["mode"], row["state"]) == ("carry", "in sync")
        assert run("--home", ru, "sync", "--peer", "EU-BE").exit_code == 2
        (error,) = errors("--home", ru, "peer", "probe", "EU-BE", code=1)
        assert error["code"] == "not-called"

    def test_pause_and_resume_are_told_and_kept(self, ru: Path) -> None:
        result("--home", ru, "peer", "pause", "EU-BE", "--because", "their audit")

        (row,) = result("--home", ru, "status")["peers"]
        shown = run("--home", ru, "peer", "show", "EU-BE").stdout
        ended = result("--home", ru, "peer", "resume", "EU-BE", "--because", "audit over")

        assert (row["state"], row["paused"]["because"]) == ("paused", "their audit")
        assert "their audit" in shown
        assert ended == {"authority": "EU-BE", "paused": False, "incidents_ended": 0}
        assert result("--home", ru, "status")["peers"][0]["paused"] is None
        with open_node(ru) as own:
            trail = own.ledger.read(
                lambda tx: [
                    tuple(r) for r in tx.execute("SELECT verb, subject FROM acts ORDER BY id")
                ]
            )
        assert trail[-2:] == [
            ("peer pause", "EU-BE their audit"), ("peer resume", "EU-BE audit over"),
        ]  # fmt: skip

    @pytest.mark.parametrize("verb", ["pause", "resume", "probe"])
    def test_a_stranger_is_not_found(self, ru: Path, verb: str) -> None:
        because = [] if verb == "probe" else ["--because", "x"]

        assert errors("--home", ru, "peer", verb, "AO", *because, code=3)[0]["code"] == "not-found"

    async def test_a_probe_tells_each_step_and_exits_by_it(self, ru: Path, be: Path) -> None:
        import asyncio

        failed = await asyncio.to_thread(run, "--home", ru, "--json", "peer", "probe", "EU-BE")
        with open_node(be) as own:
            async with listening(own):
                good = await asyncio.to_thread(
                    run, "--home", ru, "--json", "peer", "probe", "EU-BE"
                )

        assert (failed.exit_code, good.exit_code) == (7, 0)
        steps = json.loads(failed.stdout)["items"]
        assert [(s["step"], s["ok"]) for s in steps] == [("name", True), ("connect", False)]
        assert steps[-1]["mend"]
        assert [s["step"] for s in json.loads(good.stdout)["items"]][-1] == "position"

    def test_new_keys_need_the_fingerprint(self, ru: Path, be: Path) -> None:
        keys = be / "keys" / "EU-BE.jwks.json"

        (error,) = errors(
            "--home", ru, "peer", "renew", "EU-BE", "--jwks", keys, "--fingerprint", "AAAA",
            "--because", "x", code=1,
        )  # fmt: skip

        assert error["code"] == "wrong-fingerprint"


def test_a_crash_between_a_succession_and_its_files_does_no_harm(
    ru: Path, be: Path, tmp_path: Path
) -> None:
    """The former log's files are still there (simulated): they are of a log that has ended."""
    issued(ru)
    result("--home", ru, "bundle", "export", "--peer", "EU-BE", tmp_path / "a.kpb")
    kept = (ru / "data" / "released-checkpoint").read_bytes()
    result("--home", ru, "ledger", "resume", "--new-log", "--because", "drill")
    (ru / "data" / "released-checkpoint").write_bytes(kept)

    result("--home", ru, "bundle", "export", "--peer", "EU-BE", tmp_path / "b.kpb")

    assert result("--home", ru, "ledger", "verify")["ok"]
    assert b"kpx-sandbox/RU/2" in (ru / "data" / "released-checkpoint").read_bytes()
