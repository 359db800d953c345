"""Inquiries, alerts, profiles, work-lists and tables as officers type them, and as the console tells."""

import csv
import io
import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.nodes import SetClock, admit_sources, opened, shipments
from tests.test_cli import errors, result, run
from tests.test_watch import fetch, serving, until

NUMBER = "RU00010118"


@pytest.fixture
def ru(homes: dict[str, Path]) -> Path:
    return homes["RU"]


@pytest.fixture
def be(homes: dict[str, Path]) -> Path:
    return homes["EU-BE"]


def issued(home: Path, **changes: Any) -> str:
    (sample,) = shipments()
    made = result("--home", home, "issue", "-", stdin=json.dumps(sample | changes))
    return str(made["issued"][0]["number"])


def carried(source: Path, target: Path, folder: Path) -> None:
    """What waits, as a file there; its receipt back."""
    names = source.name, target.name
    file = folder / f"{'-'.join(names)}-{len(list(folder.glob('*.kpb')))}.kpb"
    result("--home", source, "bundle", "export", "--peer", target.name, file)
    taken = result("--home", target, "bundle", "import", file)
    result("--home", source, "bundle", "import", taken["receipt"])


def test_two_running_nodes_ask_and_answer_without_anybody(ru: Path, be: Path) -> None:
    number = issued(ru)
    with serving(ru) as there, serving(be) as here:
        until(lambda: run("--home", be, "certificate", "show", number).exit_code, 0)
        asked = result(
            "--home", be, "inquiry", "ask", number, "--read", "-", stdin='{"parcels": 9999}'
        )
        until(
            lambda: result("--home", be, "inquiry", "show", asked["doc_id"])["verdict"], "genuine"
        )

        shown = json.loads(fetch(f"{here}/api/v1/inquiries/{asked['doc_id']}")[1])
        listed = json.loads(fetch(f"{there}/api/v1/inquiries")[1])["items"]
        assert shown["answered"]["differs"] == ["/parcels"]
        assert [(one["way"], one["peer"], one["verdict"]) for one in listed] == [
            ("from", "EU-BE", "genuine")
        ]
        assert fetch(f"{here}/api/v1/inquiries/x")[0] == 404


def test_by_file_the_answer_is_in_the_next_bundle(ru: Path, be: Path, tmp_path: Path) -> None:
    number = issued(ru)
    carried(ru, be, tmp_path)
    result("--home", be, "inquiry", "ask", number)

    carried(be, ru, tmp_path)
    carried(ru, be, tmp_path)

    (one,) = result("--home", be, "inquiry", "list")["items"]
    assert (one["verdict"], one["asks"], one["again"]) == ("genuine", "genuine", 0)
    assert "genuine? genuine" in run("--home", be, "certificate", "show", number).stdout


def test_an_officer_answers_what_the_node_does_not(ru: Path, be: Path, tmp_path: Path) -> None:
    forged = "RU00019999"
    result("--home", be, "present", forged, "--from", "RU")
    result("--home", be, "inquiry", "ask", forged, "--reason", "no document", "--officer", "B")
    carried(be, ru, tmp_path)

    (item,) = result("--home", ru, "work", "inquiries")["items"]
    assert (item["number"], item["turn"], item["state"]) == (forged, "RU", "to be answered")
    (again,) = errors("--home", be, "inquiry", "ask", forged, code=5)
    assert (again["code"], again["rule"]) == ("wrong-state", "KP-Q-007")
    (wrong,) = errors("--home", ru, "inquiry", "answer", forged, "--verdict", "arrived", code=5)
    assert wrong["rule"] == "KP-Q-003"
    result("--home", ru, "inquiry", "answer", forged, "--verdict", "not-genuine")
    carried(ru, be, tmp_path)

    (paper,) = result("--home", be, "work", "unannounced")["items"]
    assert paper["detail"] == "answer: not-genuine"
    assert errors("--home", ru, "inquiry", "answer", "RU1", "--verdict", "genuine", code=3)
    assert errors("--home", ru, "inquiry", "show", "nothing", code=3)
    assert run("--home", ru, "inquiry", "ask", NUMBER, "--asks", "price").exit_code == 2


def test_a_picture_is_told_by_its_digest(ru: Path, be: Path, tmp_path: Path) -> None:
    picture = tmp_path / "paper.jpg"
    picture.write_bytes(b"\xff\xd8\xff picture")

    alert = result(
        "--home", ru, "alert", "raise", "forged", "RU00019999",
        "--reason", "layout", "--evidence", picture,
    )["doc_id"]  # fmt: skip
    carried(ru, be, tmp_path)

    shown = result("--home", be, "alert", "show", alert)
    assert shown["to"] == ["*"]
    assert shown["evidence"][0]["kind"] == "image/jpeg"
    assert len(shown["evidence"][0]["sha256"]) == 43
    (refused,) = errors("--home", be, "present", "RU00019999", "--from", "RU", code=4)
    assert (refused["code"], refused["rule"]) == ("alerted", "KP-W-001")
    (item,) = result("--home", be, "alert", "list", "--number", "RU00019999")["items"]
    assert item["effect"] == "refuses"
    assert errors("--home", be, "alert", "withdraw", alert, "--reason", "x", code=4)
    result("--home", ru, "alert", "withdraw", alert, "--reason", "mistaken")
    assert result("--home", ru, "alert", "list")["items"] == []
    assert result("--home", ru, "alert", "list", "--all")["items"][0]["standing"] == "withdrawn"
    assert errors("--home", ru, "alert", "show", "nothing", code=3)
    assert errors(
        "--home", ru, "alert", "raise", "forged", "RU1", "--reason", "x",
        "--evidence", tmp_path / "none", code=3,
    )  # fmt: skip


def test_presented_goods_that_are_flagged_are_held_and_told(
    ru: Path, be: Path, tmp_path: Path
) -> None:
    number = issued(ru)
    carried(ru, be, tmp_path)
    result("--home", be, "alert", "raise", "forged", number, "--reason", "another one was here")

    told = result("--home", be, "present", number)

    assert told["state"] == "held, presented"
    assert [flag["subject"] for flag in told["alerts"]] == ["forged"]
    (row,) = result("--home", be, "certificate", "list")["items"]
    assert row["attention"] == "flagged by an alert"
    assert result("--home", be, "certificate", "show", number)["alerts"][0]["by"] == "EU-BE"


def test_profiles_are_published_listed_and_shown(ru: Path, be: Path, tmp_path: Path) -> None:
    profile = {
        "from": "2026-01-01", "number_pattern": "RU[0-9]{8}", "validity": {"months": 1},
        "statement": "As the scheme demands.",
    }  # fmt: skip
    assert errors("--home", ru, "profile", "publish", code=3)
    assert "No profile yet" in run("--home", ru, "profile", "list").stdout
    slow = profile | {"number_pattern": "(RU)*"}
    (bad,) = errors("--home", ru, "profile", "publish", "-", stdin=json.dumps(slow), code=4)
    assert bad["pointer"] == "/number_pattern"

    told = result("--home", ru, "profile", "publish", "-", stdin=json.dumps(profile))
    carried(ru, be, tmp_path)

    assert told == {"from": "2026-01-01", "to": ["EU-BE"]}
    (listed,) = result("--home", be, "profile", "list")["items"]
    assert (listed["authority"], listed["profile"]["statement"]) == ("RU", profile["statement"])
    shown = result("--home", be, "profile", "show", "RU", "--on", "2026-05-01")
    assert (shown["from"], shown["validity"]) == ("profile document", {"days": 0, "months": 1})
    assert result("--home", be, "profile", "show", "RU", "--on", "2025-12-31")["from"] == "package"
    assert run("--home", be, "profile", "show", "RU", "--on", "yesterday").exit_code == 2


def test_overdue_ends_with_one_for_cron_and_reminds(ru: Path, be: Path, tmp_path: Path) -> None:
    old = (date.today() - timedelta(days=40)).isoformat()
    number = issued(ru, issued_on=old)
    carried(ru, be, tmp_path)

    assert (
        result("--home", ru, "overdue", "--fail-on", "30d", code=1)["items"][0]["number"] == number
    )
    assert result("--home", ru, "overdue", "--fail-on", "45d")["items"] == []
    assert run("--home", ru, "overdue", "--fail-on", "a month").exit_code == 2
    (item,) = result("--home", ru, "overdue", "--remind")["items"]
    assert item["reminder"]
    assert result("--home", ru, "overdue", "--remind")["items"][0]["reminder"] is None
    carried(ru, be, tmp_path)
    assert result("--home", be, "work", "inquiries")["items"][0]["detail"] == "arrival?"
    assert "None overdue." in run("--home", be, "overdue").stdout


def test_the_lists_are_the_same_in_command_api_and_page(ru: Path, be: Path, tmp_path: Path) -> None:
    number = issued(ru)
    carried(ru, be, tmp_path)
    result("--home", be, "present", number)

    with serving(be) as console:
        api = json.loads(fetch(f"{console}/api/v1/worklists")[1])
        one = json.loads(fetch(f"{console}/api/v1/worklists/to-confirm?within=7")[1])
        page = fetch(f"{console}/work")[1]
        assert fetch(f"{console}/api/v1/worklists/nothing")[0] == 400
        assert fetch(f"{console}/api/v1/worklists/expiring?within=soon")[0] == 400
        assert json.loads(fetch(f"{console}/api/v1/alerts?number={number}")[1])["items"] == []
        assert fetch(f"{console}/alerts?number=%3Cb%3E")[1].count("&lt;b&gt;") >= 1

    assert api == result("--home", be, "work")
    assert one == result("--home", be, "work", "to-confirm")
    assert [i["number"] for i in one["items"]] == [number]
    assert "To confirm" in page
    assert number in page
    text = run("--home", be, "work", "to-confirm")
    assert "kpnode confirm NUMBER" in text.stderr
    assert run("--home", be, "work", "nothing").exit_code == 2


def test_sources_on_paper_are_accounts(be: Path) -> None:
    admitted = ("source", "admit", "RU00000042", "--from", "RU", "--received-on", "2025-03-01")
    assert errors("--home", be, "source", "show", "RU00000042", code=3)
    assert errors("--home", be, *admitted, "--carats", "much", code=4)
    assert run("--home", be, *admitted[:-1], "soon", "--carats", "1.00").exit_code == 2
    result("--home", be, *admitted, "--carats", "120.50")
    (twice,) = errors("--home", be, *admitted, "--carats", "120.50", code=5)
    assert twice["rule"] == "KP-L-009"

    result(
        "--home", be, "source", "adjust", "RU00000042", "--less", "20.50", "--reason", "polished"
    )
    assert run(
        "--home", be, "source", "adjust", "RU00000042", "--less", "1.00", "--more", "1.00",
        "--reason", "x",
    ).exit_code == 2  # fmt: skip
    (over,) = errors(
        "--home", be, "source", "adjust", "RU00000042", "--less", "100.01", "--reason", "x", code=5
    )

    assert over["code"] == "source-exceeded"
    shown = result("--home", be, "source", "show", "RU00000042")
    assert (shown["came_in"], shown["adjusted"], shown["left"]) == ("120.50", "-20.50", "100.00")


def test_participants_are_those_of_the_day(be: Path) -> None:
    told = result("--home", be, "participant", "list", "--on", "2018-06-01")
    by_code = {item["code"]: item for item in told["items"]}

    assert by_code["CF"]["status"] == "restricted"
    assert by_code["CF"]["zones"] == ["Berberati", "Boda", "Carnot", "Nola", "Gazi"]
    assert "UZ" not in by_code
    assert len(result("--home", be, "participant", "list")["items"]) == 60


def test_a_table_is_tried_first_and_then_taken_in(
    homes: dict[str, Path], ru: Path, tmp_path: Path
) -> None:
    with opened(homes, SetClock()) as nodes:
        admit_sources(nodes["EU-BE"], shipments("EU-BE", "RU"))
    issued(ru)
    table = tmp_path / "certificates.csv"
    told = result("--home", ru, "certificate", "export", table)
    month = date.today().strftime("%Y-%m")
    assert run("--home", ru, "certificate", "export", "--month", month).stdout == table.read_text()
    assert run("--home", ru, "certificate", "export", "--month", "2026-13").exit_code == 2
    rows = list(csv.DictReader(io.StringIO(table.read_text(), newline="")))
    assert told["rows"] == len(rows) > 1
    again = table.read_text().replace(NUMBER, "RU00030000")

    tried = result("--home", ru, "certificate", "import", "-", stdin=again)
    assert (tried["applied"], tried["items"][0]["will"]) == (False, "issue")
    assert errors("--home", ru, "certificate", "show", "RU00030000", code=3)
    done = result("--home", ru, "certificate", "import", "-", "--apply", stdin=again)

    assert done["applied"]
    assert result("--home", ru, "certificate", "show", "RU00030000")["state"] == "issued"
    bad = again.replace("RU00030000", "XX1")
    refused = result("--home", ru, "certificate", "import", "-", "--apply", stdin=bad, code=4)
    assert (refused["applied"], refused["items"][0]["code"]) == (False, "number-pattern")
    assert errors("--home", ru, "certificate", "import", "-", stdin="a,b\n", code=4)[0]["code"] == (
        "not-csv"
    )
    dossier = result("--home", ru, "dossier", month, tmp_path / "month.zip")
    assert dossier["certificates"] == 2
    assert (tmp_path / "month.zip").read_bytes()[:2] == b"PK"
