"""The command line as its users meet it: JSON, exit codes, clear errors, nothing half done."""

import json
import os
import signal
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from node.cli import output
from node.cli.app import COMMANDS, main
from node.cli.output import finishing
from node.demo.story import sample
from node.ledger import acts
from node.office.issue import issue as issue_verb
from node.office.officer import Officer
from node.wiring import open_node
from tests.nodes import make_homes, shipments
from tests.serving import deliver, listening

ROOT = Path(__file__).parents[1]
REFUSED = sample("shipments_refused.json")


def run(*arguments: str | Path, stdin: str = "") -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments], input=stdin)


def result(*arguments: str | Path, stdin: str = "", code: int = 0) -> Any:
    """The JSON of a command that ends with this exit code."""
    done = run("--json", *arguments, stdin=stdin)
    assert done.exit_code == code, done.output
    return json.loads(done.stdout)


def errors(*arguments: str | Path, stdin: str = "", code: int) -> list[Any]:
    found: list[Any] = result(*arguments, stdin=stdin, code=code)["errors"]
    assert all(e.keys() == {"code", "pointer", "detail", "rule", "index", "number"} for e in found)
    return found


@pytest.fixture
def ru(homes: dict[str, Path]) -> Path:
    return homes["RU"]


def entries_of(home: Path) -> int:
    return len(result("--home", home, "ledger", "list")["items"])


class TestHelp:
    def test_every_command_teaches(self) -> None:
        overview = run("--help")
        assert overview.exit_code == 0
        for name in COMMANDS:
            assert name in overview.stdout
            help_text = run(name, "--help")
            assert help_text.exit_code == 0
            assert len(help_text.stdout) > 100

    def test_an_unknown_command_is_a_usage_error(self) -> None:
        assert run("isue").exit_code == 2

    def test_home_and_json_may_stand_before_or_after_the_command(self, ru: Path) -> None:
        before = run("--home", ru, "--json", "status")
        after = run("status", "--home", ru, "--json")

        assert before.stdout == after.stdout
        assert json.loads(before.stdout)["peers"][0]["authority"] == "EU-BE"

    def test_the_home_may_come_from_the_environment(
        self, ru: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("KPNODE_HOME", str(ru))

        assert result("status")["peers"]

    def test_without_a_home_it_says_how_to_make_one(self, tmp_path: Path) -> None:
        done = run("--home", tmp_path, "status")

        assert done.exit_code == 1
        assert "kpnode init" in done.stderr


class TestInit:
    ARGUMENTS = ("--authority", "RU", "--name", "Sample", "--url", "http://localhost:8101")

    def test_a_home_has_keys_database_and_settings(self, tmp_path: Path) -> None:
        home = tmp_path / "home"

        made = result("init", home, *self.ARGUMENTS, "--sandbox")

        assert made["fingerprint"].count(" ") == 7
        assert (home / "peers.toml").exists()
        assert (home / "data" / "node.db").exists()
        assert len(list((home / "keys" / "private").iterdir())) == 3

    def test_it_refuses_a_folder_inside_a_git_work_tree(self, tmp_path: Path) -> None:
        (tmp_path / ".git").mkdir()

        (error,) = errors("init", tmp_path / "a" / "b", *self.ARGUMENTS, code=1)

        assert error["code"] == "inside-work-tree"
        assert not (tmp_path / "a").exists()

    def test_it_never_overwrites(self, ru: Path) -> None:
        (error,) = errors("init", ru, *self.ARGUMENTS, code=1)

        assert error["code"] == "home-exists"

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            (("--authority", "Russia"), 2),
            (("--url", "ftp://x"), 1),
            (("--url", "http://node.example.org"), 1),
            (("--listen", "nowhere"), 2),
            (("--listen", "localhost:99999"), 1),
            (("--timezone", "Mars/Olympus"), 1),
            (("--timezone", "/etc/passwd"), 1),
            (("--name", " "), 1),
        ],
    )
    def test_bad_settings_make_no_home(
        self, tmp_path: Path, change: tuple[str, str], code: int
    ) -> None:
        done = run("init", tmp_path / "home", *self.ARGUMENTS, *change)

        assert done.exit_code == code, done.output
        assert not (tmp_path / "home").exists()

    def test_names_with_quotes_and_line_ends_survive_or_are_refused(self, tmp_path: Path) -> None:
        quoted = ("--name", 'The "Gems" \\ Office', "--sandbox")
        assert run("init", tmp_path / "a", *self.ARGUMENTS, *quoted).exit_code == 0
        assert run("--home", tmp_path / "a", "status").exit_code == 0

        assert run("init", tmp_path / "b", *self.ARGUMENTS, "--name", "A\nB").exit_code == 1


class TestPeer:
    @pytest.fixture
    def other(self, tmp_path: Path) -> Path:
        make_homes(tmp_path / "others", "BY")
        return tmp_path / "others" / "BY" / "keys" / "BY.jwks.json"

    def add(self, home: Path, *arguments: str | Path, code: int = 0) -> Any:
        return result("--home", home, "peer", "add", *arguments, code=code)

    def test_a_peer_is_pinned_and_listed(self, ru: Path, other: Path) -> None:
        added = self.add(ru, "BY", "--url", "http://localhost:9", "--jwks", other)

        items = result("--home", ru, "peer", "list")["items"]
        shown = result("--home", ru, "peer", "show", "BY")
        assert [i["authority"] for i in items] == ["EU-BE", "BY"]
        assert items[1]["fingerprint"] == shown["fingerprint"] == added["fingerprint"]

    def test_the_right_fingerprint_passes_in_any_writing(self, ru: Path, other: Path) -> None:
        from node.jose.keys import read_key_set

        text = read_key_set(other.read_bytes()).fingerprint.lower().replace(" ", "-")

        self.add(ru, "BY", "--url", "http://localhost:9", "--jwks", other, "--fingerprint", text)

    @pytest.mark.parametrize(
        ("arguments", "code", "name"),
        [
            (("BY", "--fingerprint", "AAAA"), 1, "wrong-fingerprint"),
            (("AO",), 1, "wrong-authority"),
            (("EU-BE",), 1, "peer-exists"),
            (("BY", "--url", "gopher://x"), 1, "bad-config"),
            (("BY", "--jwks", "/nowhere.json"), 3, "not-found"),
        ],
    )
    def test_a_doubtful_peer_is_refused_and_nothing_is_written(
        self, ru: Path, other: Path, arguments: tuple[str, ...], code: int, name: str
    ) -> None:
        before = (ru / "peers.toml").read_text("utf-8")
        standard = ("--url", "http://localhost:9", "--jwks", other)
        authority, *rest = arguments

        found = self.add(ru, authority, *standard, *rest, code=code)

        assert found["errors"][0]["code"] == name
        assert (ru / "peers.toml").read_text("utf-8") == before
        assert not (ru / "keys" / "BY.jwks.json").exists()

    def test_a_set_from_a_url_needs_a_fingerprint(self, ru: Path) -> None:
        arguments = ("--url", "http://localhost:9", "--jwks", "http://localhost:9/jwks.json")

        assert run("--home", ru, "peer", "add", "BY", *arguments).exit_code == 2

    async def test_a_set_from_a_url_is_fetched_and_compared(
        self, homes: dict[str, Path], tmp_path: Path
    ) -> None:
        others = make_homes(tmp_path / "others", "BY")
        with open_node(others["BY"]) as by:
            async with listening(by) as url:
                arguments = [
                    sys.executable, "-m", "node.cli", "--json", "--home", str(homes["RU"]), "peer",
                    "add", "BY", "--url", url, "--jwks", f"{url}/.well-known/jwks.json",
                    "--fingerprint", by.keys.fingerprint,
                ]  # fmt: skip
                import asyncio

                process = await asyncio.create_subprocess_exec(
                    *arguments, stdout=asyncio.subprocess.PIPE, cwd=ROOT
                )
                out, _ = await process.communicate()

        assert process.returncode == 0
        assert json.loads(out)["fingerprint"] == by.keys.fingerprint


class TestIssue:
    @pytest.mark.parametrize("case", REFUSED, ids=lambda c: c["why"])
    def test_a_shipment_that_must_not_leave_is_refused(self, ru: Path, case: Any) -> None:
        found = errors("--home", ru, "issue", "-", stdin=json.dumps(case["shipment"]), code=4)

        assert [(e["code"], e["pointer"]) for e in found] == [(case["code"], case["pointer"])]
        assert entries_of(ru) == 0

    def test_the_sample_shipments_are_issued(self, ru: Path, tmp_path: Path) -> None:
        file = tmp_path / "shipments.json"
        file.write_text(json.dumps(shipments(count=30)), "utf-8")

        issued = result("--home", ru, "issue", file, "--office", "Moscow", "--officer", "7")

        assert [set(i) for i in issued["issued"]] == [{"number", "doc_id", "to"}] * 30
        with open_node(ru) as own:
            trail = own.ledger.read(lambda tx: acts.listed(tx, "RU00010118"))
        assert [(a.verb, a.office, a.officer) for a in trail] == [("issue", "Moscow", "7")]

    def test_one_bad_shipment_among_good_ones_records_nothing(self, ru: Path) -> None:
        good, bad = shipments(count=3), REFUSED[1]["shipment"]

        (error,) = errors(
            "--home", ru, "issue", "-", stdin=json.dumps([*good, bad, good[0]]), code=4
        )

        assert (error["index"], error["number"]) == (3, bad["number"])
        assert entries_of(ru) == 0

    def test_a_number_used_twice_is_a_state_conflict(self, ru: Path) -> None:
        text = json.dumps(shipments())
        result("--home", ru, "issue", "-", stdin=text)

        (error,) = errors("--home", ru, "issue", "-", stdin=text, code=5)
        twice = errors("--home", ru, "issue", "-", stdin=json.dumps(shipments(start=1) * 2), code=5)

        assert (error["code"], error["pointer"]) == ("number-conflict", "/number")
        assert [(e["code"], e["index"]) for e in twice] == [("number-conflict", 1)]
        assert entries_of(ru) == 1

    @pytest.mark.parametrize(
        ("text", "code"),
        [
            ("", "not-json"),
            ("{", "not-json"),
            ('{"number": "A", "number": "B"}', "not-json"),
            ('{"carats": NaN}', "not-json"),
            ("[" * 50 + "]" * 50, "not-json"),
            ("5", "schema-invalid"),
            ("[[]]", "schema-invalid"),
            ("[null]", "schema-invalid"),
        ],
    )
    def test_what_is_no_shipment_is_refused(self, ru: Path, text: str, code: str) -> None:
        assert errors("--home", ru, "issue", "-", stdin=text, code=4)[0]["code"] == code

    def test_an_empty_list_issues_nothing(self, ru: Path) -> None:
        assert result("--home", ru, "issue", "-", stdin="[]") == {"issued": []}

    @pytest.mark.parametrize(
        ("changes", "code", "pointer"),
        [
            ({"from": "BY"}, "wrong-authority", "/from"),
            ({"to": "AO"}, "unknown-recipient", "/to"),
            ({"expires_on": "2026-11-01", "issued_on": "2026-10-01"}, "dates-inconsistent", "/expires_on"),
            ({"issued_on": "2999-01-01"}, "issued-in-future", "/issued_on"),
            ({"mining_origins": ["AO"]}, "source-missing", "/source_certificates"),
        ],
    )  # fmt: skip
    def test_other_reasons_not_to_issue(
        self, ru: Path, changes: Any, code: str, pointer: str
    ) -> None:
        shipment = shipments()[0] | changes

        found = errors("--home", ru, "issue", "-", stdin=json.dumps(shipment), code=4)

        assert [(e["code"], e["pointer"]) for e in found] == [(code, pointer)]

    def test_sources_must_add_up_and_never_exceed_what_came_in(
        self, homes: dict[str, Path]
    ) -> None:
        be = homes["EU-BE"]
        (shipment,) = shipments("EU-BE", "RU")
        short = json.loads(json.dumps(shipment))
        short["source_certificates"][0]["carats"] = "1.00"

        (error,) = errors("--home", be, "issue", "-", stdin=json.dumps(short), code=5)

        assert (error["code"], error["pointer"]) == ("source-exceeded", "/source_certificates")

    def test_a_names_control_characters_are_refused(self, ru: Path) -> None:
        arguments = ("issue", "-", "--officer", "A\u202eB")

        found = errors("--home", ru, *arguments, stdin=json.dumps(shipments()), code=4)

        assert found[0]["code"] == "schema-invalid"

    def test_a_missing_file_is_not_found(self, ru: Path) -> None:
        assert errors("--home", ru, "issue", "/nowhere.json", code=3)[0]["code"] == "not-found"

    def test_people_are_told_on_stderr(self, ru: Path) -> None:
        done = run("--home", ru, "issue", "-", stdin=json.dumps(REFUSED[0]["shipment"]))

        assert done.stdout == ""
        assert "hs-out-of-scope" in done.stderr
        assert "RU00090000" in done.stderr


class TestVerify:
    @pytest.fixture
    def issued(self, ru: Path) -> Any:
        return result("--home", ru, "issue", "-", stdin=json.dumps(shipments()))["issued"][0]

    @pytest.fixture
    def file(self, ru: Path, issued: Any, tmp_path: Path) -> Path:
        raw = run("--home", ru, "document", issued["doc_id"]).stdout
        path = tmp_path / "certificate.jws"
        path.write_text(raw)
        return path

    def test_it_needs_nothing_but_the_issuers_public_set(
        self, ru: Path, file: Path, issued: Any, tmp_path: Path
    ) -> None:
        jwks = ru / "keys" / "RU.jwks.json"

        found = result("--home", tmp_path / "no-home", "verify", file, "--jwks", jwks)

        answers = [found[name] for name in ("authentic", "valid", "current", "matches", "errors")]
        assert answers == [True, True, None, None, []]
        assert found["doc_id"] == issued["doc_id"]

    def test_one_changed_character_is_not_authentic(self, ru: Path, file: Path) -> None:
        jwks = ru / "keys" / "RU.jwks.json"
        text = file.read_text()
        for at in (5, len(text) // 2, len(text) - 5):
            changed = text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]

            found = result("verify", "-", "--jwks", jwks, stdin=changed, code=4)

            assert found["authentic"] is False
            assert found["errors"]

    def test_one_final_newline_is_removed_and_nothing_else(self, ru: Path, file: Path) -> None:
        jwks = ru / "keys" / "RU.jwks.json"
        text = file.read_text()

        assert result("verify", "-", "--jwks", jwks, stdin=text + "\n")["authentic"]
        for spoilt in (text + "\n\n", text + " ", " " + text, text + "\r\n"):
            assert run("verify", "-", "--jwks", jwks, stdin=spoilt).exit_code == 4

    def test_an_issuer_without_a_pinned_set_is_unknown(
        self, homes: dict[str, Path], file: Path
    ) -> None:
        jwks = homes["EU-BE"] / "keys" / "EU-BE.jwks.json"

        found = result("verify", file, "--jwks", jwks, code=4)

        assert found["errors"][0]["code"] == "unknown-issuer"

    def test_a_file_of_line_ends_is_one_clear_answer(self, ru: Path) -> None:
        jwks = ru / "keys" / "RU.jwks.json"

        found = result("verify", "-", "--jwks", jwks, stdin="\n" * 2_000_000, code=4)

        assert [e["code"] for e in found["errors"]] == ["malformed-bundle"]

    def test_with_a_ledger_it_says_whether_it_is_current(self, ru: Path, file: Path) -> None:
        assert result("--home", ru, "verify", file)["current"] is True
        assert (
            result("--home", ru, "verify", file, "--at", "2999-01-01", code=4)["current"] is False
        )
        assert (
            result("--home", ru, "verify", file, "--at", "2000-01-01", code=4)["current"] is False
        )
        for day in ("soon", "20261126", "2026-W01-1", ""):
            assert run("--home", ru, "verify", file, "--at", day).exit_code == 2

    async def test_a_bundle_and_its_receipt_verify(
        self, homes: dict[str, Path], tmp_path: Path
    ) -> None:
        from node.demo.story import _sent_bundles

        with open_node(homes["RU"]) as own, open_node(homes["EU-BE"]) as be:
            issue_verb(own, shipments(count=3), Officer())
            async with listening(be):
                await deliver(own, "EU-BE")
        (bundle,) = _sent_bundles(homes["RU"] / "data" / "node.db", "EU-BE")
        path = tmp_path / "example.kpb"
        path.write_bytes(bundle)
        jwks = homes["RU"] / "keys" / "RU.jwks.json"

        items = result("verify", path, "--jwks", jwks)["items"]
        assert [i["kind"] for i in items] == ["manifest", *["certificate"] * 3]
        path.write_bytes(bundle[: bundle.rstrip(b"\n").rfind(b"\n") + 1])
        short = result("verify", path, "--jwks", jwks, code=4)["items"]
        assert short[0]["valid"] is False
        assert short[0]["errors"][0]["code"] == "malformed-bundle"
        path.write_bytes(bundle.partition(b"\n")[0] + b"\n")
        alone = result("verify", path, "--jwks", jwks, code=4)
        assert (alone["valid"], alone["errors"][0]["code"]) == (False, "malformed-bundle")
        log = result("--home", homes["RU"], "ledger", "list")["items"]
        receipt = run("--home", homes["RU"], "document", log[-1]["doc_id"]).stdout
        assert result("--home", homes["RU"], "verify", "-", stdin=receipt)["kind"] == "receipt"


class TestReading:
    def test_empty_lists_say_what_to_do(self, ru: Path, tmp_path: Path) -> None:
        made = run("init", tmp_path / "lone", *TestInit.ARGUMENTS, "--sandbox")
        assert made.exit_code == 0

        assert "kpnode issue" in run("--home", ru, "certificate", "list").stdout
        assert "kpnode peer add" in run("--home", tmp_path / "lone", "peer", "list").stdout
        assert "kpnode peer add" in run("--home", tmp_path / "lone", "status").stdout
        assert result("--home", ru, "certificate", "list") == {"items": [], "next": None}

    def test_lists_have_cursors(self, ru: Path) -> None:
        result("--home", ru, "issue", "-", stdin=json.dumps(shipments(count=5)))

        seen, after = [], ""
        while True:
            page = result("--home", ru, "certificate", "list", "--limit", "2", "--after", after)
            seen += [item["number"] for item in page["items"]]
            if page["next"] is None:
                break
            after = page["next"]

        assert seen == sorted({s["number"] for s in shipments(count=5)})
        page = result("--home", ru, "ledger", "list", "--limit", "3")
        assert [i["index"] for i in page["items"]] == [0, 1, 2]
        rest = result("--home", ru, "ledger", "list", "--after", page["next"])
        assert [i["index"] for i in rest["items"]] == [3, 4]

    def test_a_doc_id_may_start_with_a_dash(self, ru: Path) -> None:
        with open_node(ru) as own:
            while True:
                (made,) = issue_verb(own, [_numbered()], Officer())
                if made.doc_id.startswith("-"):
                    break

        assert run("--home", ru, "document", made.doc_id).exit_code == 0
        assert result("--home", ru, "certificate", "show", made.doc_id)["number"] == made.number

    def test_what_is_not_held_is_not_found(self, ru: Path) -> None:
        for arguments in (
            ("certificate", "show", "RU9"), ("document", "A" * 43), ("document", "--x"),
            ("confirm", "EU0001"), ("peer", "show", "AO"), ("sync", "--peer", "AO"),
        ):  # fmt: skip
            assert errors("--home", ru, *arguments, code=3)[0]["code"] == "not-found"

    def test_show_has_state_timeline_and_holders(self, ru: Path) -> None:
        result("--home", ru, "issue", "-", stdin=json.dumps(shipments()))

        shown = result("--home", ru, "certificate", "show", "RU00010118")

        assert (shown["state"], shown["held_by"]) == ("issued", ["RU"])
        assert [event["what"] for event in shown["timeline"]] == ["issued"]
        assert shown["body"]["number"] == "RU00010118"

    def test_a_state_is_looked_for_beyond_the_first_page(self, ru: Path) -> None:
        result("--home", ru, "issue", "-", stdin=json.dumps(shipments(count=5)))
        arguments = ("--home", ru, "certificate", "list", "--limit", "2", "--state")

        assert len(result(*arguments, "issued")["items"]) == 2
        assert result(*arguments, "confirmed") == {"items": [], "next": None}
        assert "like that" in run(*arguments, "confirmed").stdout
        assert run(*arguments, "nonsense").exit_code == 2

    def test_an_auditor_needs_no_private_keys(self, ru: Path) -> None:
        result("--home", ru, "issue", "-", stdin=json.dumps(shipments(count=2)))
        for key in (ru / "keys" / "private").iterdir():
            key.unlink()

        assert result("--home", ru, "ledger", "verify")["signatures"] == 2
        assert len(result("--home", ru, "certificate", "list")["items"]) == 2
        (error,) = errors("--home", ru, "issue", "-", stdin="[]", code=1)
        assert error["code"] == "keys-missing"

    @pytest.mark.parametrize("argument", ["\udcff", "RU\udc80"])
    def test_an_argument_that_is_no_text_is_a_usage_error(self, ru: Path, argument: str) -> None:
        for name in (["certificate", "show"], ["document"], ["confirm"]):
            assert run("--home", ru, *name, argument).exit_code == 2

    def test_status_has_both_directions(self, ru: Path) -> None:
        result("--home", ru, "issue", "-", stdin=json.dumps(shipments(count=2)))

        (row,) = result("--home", ru, "status")["peers"]

        assert row["out"] == {
            "position": 2,
            "acknowledged": 0,
            "lag": 2,
            "oldest_s": row["out"]["oldest_s"],
        }
        assert row["in"] == {"known": 0, "have": 0, "lag": 0}
        assert row.keys() >= {
            "authority",
            "state",
            "last_contact",
            "last_error",
            "next_try",
            "incidents",
        }


class TestConfirm:
    @pytest.fixture
    async def arrived(self, homes: dict[str, Path]) -> Path:
        with open_node(homes["RU"]) as own, open_node(homes["EU-BE"]) as be:
            issue_verb(own, shipments(count=3), Officer())
            async with listening(be):
                await deliver(own, "EU-BE")
        return homes["EU-BE"]

    def confirm(self, home: Path, *arguments: str | Path, stdin: str = "", code: int = 0) -> Any:
        return result("--home", home, "confirm", *arguments, stdin=stdin, code=code)

    def test_goods_are_confirmed_once(self, arrived: Path) -> None:
        done = self.confirm(arrived, "RU00010118", "--office", "Antwerp")
        again = self.confirm(arrived, "RU00010118", code=5)

        assert [c["to"] for c in done["confirmed"]] == ["RU"]
        assert again["errors"][0]["code"] == "wrong-state"

    def test_several_are_confirmed_together_or_not_at_all(self, arrived: Path) -> None:
        self.confirm(arrived, "RU00010118", "RU0001", code=3)

        shown = result("--home", arrived, "certificate", "show", "RU00010118")
        assert shown["state"] == "announced"

    def test_an_inspection_that_agrees_is_taken(self, arrived: Path) -> None:
        found = json.dumps({"parcels": 3, "seals_intact": True})

        self.confirm(arrived, "RU00010118", "--inspection", "-", stdin=found)

    @pytest.mark.parametrize(
        ("found", "code", "name"),
        [
            ({"parcels": 2}, 5, "wrong-state"),
            ({"seals_intact": False}, 5, "wrong-state"),
            ({"received_on": "2001-01-01"}, 4, "dates-inconsistent"),
            ({"received_on": "2999-01-01"}, 4, "dates-inconsistent"),
            ({"received_on": "soon"}, 4, "schema-invalid"),
            ({"weather": "fine"}, 4, "schema-invalid"),
            ([], 4, "schema-invalid"),
        ],
    )
    def test_an_inspection_that_differs_is_no_arrival(
        self, arrived: Path, found: Any, code: int, name: str
    ) -> None:
        answer = self.confirm(
            arrived, "RU00010118", "--inspection", "-", stdin=json.dumps(found), code=code
        )

        assert answer["errors"][0]["code"] == name

    def test_goods_after_expiry_are_not_confirmed(self, arrived: Path) -> None:
        late = result("--home", arrived, "certificate", "show", "RU00010118")["expires_on"]
        day = late[:-2] + f"{int(late[-2:]) + 1:02}" if int(late[-2:]) < 28 else "2999-01-01"

        answer = self.confirm(arrived, "RU00010118", "--received-on", day, code=4)

        assert answer["errors"][0]["pointer"] == "/received_on"


class TestLife:
    @pytest.fixture
    async def arrived(self, homes: dict[str, Path]) -> dict[str, Path]:
        with open_node(homes["RU"]) as own, open_node(homes["EU-BE"]) as be:
            issue_verb(own, shipments(count=2), Officer())
            async with listening(be):
                await deliver(own, "EU-BE")
        return homes

    def test_every_verb_of_an_importer(self, arrived: dict[str, Path]) -> None:
        be = arrived["EU-BE"]
        steps = [
            (("present",), "presented"),
            (("inspect", "--found", "-", "--place", "Antwerp", "--attended", "Agent"), "inspected"),
            (("send-to-laboratory", "--technical-number", "T1", "--reason", "origin", "--consignee", "L"), "at the laboratory"),
            (("take-back",), "presented"),
            (("hold", "--reason", "seals", "--case", "1"), "held, presented"),
            (("release", "--reason", "explained"), "presented"),
            (("dispute", "--reason", "one more", "--proposed", "-"), "disputed"),
            (("order-return", "--technical-number", "T2", "--reason", "no", "--consulted", "RU", "--consulted-on", date.today().isoformat(), "--seal", "S1"), "return ordered"),
        ]  # fmt: skip
        for (verb, *options), expected in steps:
            found = json.dumps({"parcels": 4})
            done = result("--home", be, verb, "RU00010118", *options, "--office", "A", stdin=found)
            assert done["state"] == expected, verb

        shown = result("--home", be, "certificate", "show", "RU00010118")
        assert shown["state"] == "return ordered"
        assert [s["event"] for s in shown["next"]] == ["return"]
        assert shown["timeline"][-1]["detail"] == "no; T2"
        assert shown["timeline"][1]["who"] == "EU-BE, A"
        assert "return ordered" in run("--home", be, "certificate", "show", "RU00010118").stdout

    def test_what_is_not_allowed_now_has_its_code(self, arrived: dict[str, Path]) -> None:
        ru, be = arrived["RU"], arrived["EU-BE"]
        refused = [
            (be, ("amend",), 5, "wrong-state"),
            (ru, ("take-in",), 5, "wrong-state"),
            (ru, ("consent", "--reason", "x"), 5, "wrong-state"),
            (be, ("seize", "--reason", "x", "--case", "1"), 5, "wrong-state"),
            (be, ("revoke", "--reason", "void"), 4, "unknown-reference"),
            (ru, ("present",), 4, "unknown-reference"),
            (ru, ("revoke", "--reason", "replaced"), 4, "schema-invalid"),
            (be, ("dispute", "--reason", "x", "--proposed", "-"), 4, "schema-invalid"),
            (be, ("order-return", "--technical-number", "T", "--reason", "x", "--consulted", "x", "--consulted-on", "soon"), 4, "schema-invalid"),
        ]  # fmt: skip
        for home, (verb, *options), code, name in refused:
            found = errors("--home", home, verb, "RU00010118", *options, stdin="{}", code=code)
            assert found[0]["code"] == name, verb

    def test_states_are_made_again_from_the_log(self, arrived: dict[str, Path]) -> None:
        ru = arrived["RU"]
        result("--home", ru, "revoke", "RU00010118", "--reason", "lost")
        before = result("--home", ru, "certificate", "list")

        assert result("--home", ru, "ledger", "rebuild") == {"documents": 4}

        assert result("--home", ru, "certificate", "list") == before


class TestLedgerCommands:
    def test_verify_and_checkpoint(self, ru: Path) -> None:
        result("--home", ru, "issue", "-", stdin=json.dumps(shipments(count=2)))

        point = result("--home", ru, "ledger", "checkpoint")
        found = result("--home", ru, "ledger", "verify")

        assert (found["ok"], found["size"], found["root"]) == (True, 2, point["root"])
        assert point["note"].startswith("kpx-sandbox/RU\n2\n")

    def test_a_changed_byte_fails_and_names_the_entry(self, ru: Path) -> None:
        from tests.test_ledger import tampered

        result("--home", ru, "issue", "-", stdin=json.dumps(shipments(count=2)))
        with open_node(ru) as own:
            tampered(own, "UPDATE documents SET jws = CAST(jws || x'41' AS BLOB) WHERE doc_id IN (SELECT doc_id FROM entries WHERE idx = 1)")  # fmt: skip

        found = result("--home", ru, "ledger", "verify", code=4)

        assert found["ok"] is False
        assert "entry 1" in found["problems"][0]


class TestDoctor:
    def test_a_sound_node_is_well_though_its_peers_are_away(self, ru: Path) -> None:
        items = result("--home", ru, "doctor")["items"]

        states = {item["check"]: item["state"] for item in items}
        assert states["keys"] == states["database"] == states["log"] == "ok"
        assert states["peer EU-BE"] == "warn"

    def test_it_says_how_to_mend_permissions(self, ru: Path) -> None:
        key = next((ru / "keys" / "private").iterdir())
        key.chmod(0o644)

        items = result("--home", ru, "doctor", code=1)["items"]

        assert f"chmod 600 {key}" in items[-1]["detail"]


class TestServe:
    def test_a_private_key_that_others_can_read_stops_the_start(self, ru: Path) -> None:
        next((ru / "keys" / "private").iterdir()).chmod(0o604)

        done = run("--home", ru, "serve")

        assert done.exit_code == 1
        assert "chmod 600" in done.stderr

    def test_a_port_in_use_is_a_clear_error(self, ru: Path) -> None:
        import socket

        from node.wiring import read_config

        node = read_config(ru).node
        with socket.create_server((node.listen.host, node.listen.port)):
            done = subprocess.run(
                [sys.executable, "-m", "node.cli", "--home", str(ru), "serve"],
                capture_output=True, text=True, cwd=ROOT, timeout=30, check=False,
            )  # fmt: skip

        assert done.returncode == 1
        assert "cannot listen" in done.stderr
        assert "Traceback" not in done.stderr


class TestBrokenHome:
    """Whatever is broken: a clear error, as JSON where wanted, and never a traceback."""

    def codes(self, home: Path, *arguments: str) -> set[str]:
        done = run("--json", "--home", home, *arguments, stdin="[]")
        assert done.exit_code == 1, done.output
        told = json.loads(done.stdout)
        return {e["code"] for e in told.get("errors", ())} or {
            i["check"] for i in told["items"] if i["state"] == "fail"
        }

    @pytest.mark.parametrize("text", ["x=" + "[" * 5000, "n = " + "9" * 6000, "[node", "\x00"])
    def test_settings_that_do_not_parse(self, ru: Path, text: str) -> None:
        (ru / "peers.toml").write_text(text)

        assert self.codes(ru, "status") == {"bad-config"}

    def test_settings_that_are_a_folder(self, ru: Path) -> None:
        (ru / "peers.toml").unlink()
        (ru / "peers.toml").mkdir()

        assert self.codes(ru, "status") == {"bad-config"}

    def test_a_damaged_page_of_the_database(self, ru: Path) -> None:
        result("--home", ru, "issue", "-", stdin=json.dumps(shipments(count=20)))
        database = ru / "data" / "node.db"
        raw = bytearray(database.read_bytes())
        for page in range(4096, len(raw), 4096):
            raw[page : page + 64] = b"\xff" * 64
        database.write_bytes(raw)

        assert self.codes(ru, "certificate", "list") <= {"ledger-unavailable", "bad-database"}
        assert self.codes(ru, "doctor") <= {"ledger-unavailable", "bad-database", "database"}

    def test_a_missing_data_folder(self, ru: Path) -> None:
        import shutil

        shutil.rmtree(ru / "data")

        assert self.codes(ru, "status") == {"no-database"}
        assert self.codes(ru, "doctor") == {"no-database"}

    def test_a_key_set_that_is_a_folder(self, ru: Path) -> None:
        (ru / "keys" / "RU.jwks.json").unlink()
        (ru / "keys" / "RU.jwks.json").mkdir()

        assert self.codes(ru, "status") == {"keys-missing"}

    def test_a_peer_whose_key_file_is_gone_is_told_of(self, ru: Path) -> None:
        (ru / "keys" / "EU-BE.jwks.json").unlink()

        (row,) = result("--home", ru, "status")["peers"]
        (item,) = result("--home", ru, "sync", code=7)["items"]

        assert row["state"] == "incident"
        assert "No such file" in row["last_error"]
        assert "No such file" in item["error"]

    def test_an_old_copy_of_the_database_has_one_code(self, ru: Path) -> None:
        result("--home", ru, "ledger", "checkpoint")
        result("--home", ru, "issue", "-", stdin=json.dumps(shipments()))
        result("--home", ru, "ledger", "checkpoint")
        released = (ru / "data" / "released-checkpoint").read_text("utf-8")
        ahead = released.replace("kpx-sandbox/RU\n1\n", "kpx-sandbox/RU\n9\n")
        (ru / "data" / "released-checkpoint").write_text(ahead, "utf-8")

        assert self.codes(ru, "issue", "-") == {"log-behind"}
        assert self.codes(ru, "ledger", "checkpoint") == {"log-behind"}


def test_ctrl_c_comes_too_late_for_what_is_being_recorded(
    capfd: pytest.CaptureFixture[str],
) -> None:
    before = signal.getsignal(signal.SIGINT)

    with finishing():
        os.kill(os.getpid(), signal.SIGINT)

    assert signal.getsignal(signal.SIGINT) is before
    assert "all or nothing" in capfd.readouterr().err


class TestSync:
    def test_a_peer_that_is_away_is_exit_code_seven(self, ru: Path) -> None:
        (item,) = result("--home", ru, "sync", code=7)["items"]

        assert item["authority"] == "EU-BE"
        assert "cannot connect" in item["error"]

    async def test_one_round_delivers(self, homes: dict[str, Path]) -> None:
        import asyncio

        result("--home", homes["RU"], "issue", "-", stdin=json.dumps(shipments(count=2)))
        with open_node(homes["EU-BE"]) as be:
            async with listening(be):
                process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "node.cli", "--json", "--home", str(homes["RU"]), "sync",
                    stdout=asyncio.subprocess.PIPE, cwd=ROOT,
                )  # fmt: skip
                out, _ = await process.communicate()

        assert process.returncode == 0
        assert json.loads(out)["items"] == [
            {"authority": "EU-BE", "delivered": 2, "fetched": 0, "error": None, "busy": False}
        ]


_numbers = iter(range(10_000))


def _numbered() -> Any:
    return shipments()[0] | {"number": f"RU1{next(_numbers):07}"}


@pytest.mark.parametrize("options", [("--json",), ()])
def test_results_that_cannot_be_written_end_in_one_line(
    homes: dict[str, Path], options: tuple[str, ...]
) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "node.cli", *options, "--home", str(homes["RU"]), "status"],
            stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip

    assert done.returncode == 1
    told = [line for line in done.stderr.splitlines() if not line.startswith("SANDBOX")]
    assert told == ["error: unusable-file: No space left on device"]


def test_what_is_no_file_is_written_to_as_it_is(homes: dict[str, Path]) -> None:
    done = run("--json", "--home", homes["RU"], "certificate", "export", "/dev/full")

    assert json.loads(done.stdout)["errors"][0]["code"] == "unusable-file"
    assert Path("/dev/full").is_char_device()


def test_who_makes_a_home_second_takes_nothing_of_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from node.cli import init

    home = tmp_path / "h"
    check = init._refuse_work_tree

    def first(folder: Path) -> None:  # simulated: another init is done in between
        with monkeypatch.context() as inner:
            inner.setattr(init, "_refuse_work_tree", check)
            result("init", folder, *TestInit.ARGUMENTS)
        monkeypatch.setattr(init, "_has_something", lambda _: False)

    monkeypatch.setattr(init, "_refuse_work_tree", first)

    (error,) = errors("init", home, *TestInit.ARGUMENTS, code=1)

    assert error["code"] == "home-exists"
    assert (home / "peers.toml").exists()


def test_a_home_that_cannot_be_made_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")  # simulated

    (tmp_path / "empty").mkdir()
    for name in ("new", "empty"):
        with monkeypatch.context() as broken:
            broken.setattr("node.ledger.database.Ledger.__init__", full)
            done = run("--json", "init", tmp_path / name, *TestInit.ARGUMENTS)
        (error,) = json.loads(done.stdout)["errors"]
        assert (error["code"], str(tmp_path / name) in error["detail"]) == ("unusable-file", True)
        result("init", tmp_path / name, *TestInit.ARGUMENTS)


class TestTable:
    @given(
        st.lists(
            st.tuples(*[st.text("abc Яжё中文éñ0-9", max_size=12).map(str.strip)] * 3),
            min_size=1, max_size=5,
        )
    )  # fmt: skip
    def test_what_fits_looks_as_rich_would_have_it(self, cells: list[tuple[str, ...]]) -> None:
        heads = ["PEER", "STATE", "SENT"]
        items = [dict(zip(heads, row, strict=True)) for row in cells]

        made = output.table(items, {head: head for head in heads})

        rows = [heads, *cells]
        widths = [max(map(output._width, column)) for column in zip(*rows, strict=True)]
        assert made == output._folded(rows, widths, output.PAGE_WIDTH, terminal=False)

    def test_what_does_not_fit_is_folded(self) -> None:
        made = output.table([{"a": "x" * 300, "b": "end"}], {"a": "A", "b": "B"})

        assert max(map(len, made.splitlines())) <= 200
        assert made.count("x") == 300

    def test_short_columns_stay_whole(self) -> None:
        number, day = "RU00020001", "2026-11-27"
        row = {"a": number, "b": "x" * 300, "c": day}

        folded = output.table([row], {"a": "A", "b": "B", "c": "C"})
        many = output.table(
            [dict.fromkeys("abcdefghijklmnopqrst", number)], {n: n for n in "abcdefghijklmnopqrst"}
        )

        assert number in folded
        assert day in folded
        assert many.count(number) == 20

    def test_many_rows_are_made_without_a_library(self) -> None:
        """It takes half a millisecond a row, more than issuing what the row is about."""
        items = [{"a": f"RU{n}", "b": n} for n in range(5000)]
        script = (
            "import sys; from node.cli.output import table;"
            f"table({items!r}, {{'a': 'A', 'b': 'B'}}); assert 'rich' not in sys.modules"
        )

        subprocess.run([sys.executable, "-"], input=script, text=True, check=True)
