"""Real nodes driven into each state and back; command, API, metrics and page say the same word."""

import asyncio
import json
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from node.exchange.client import new_session
from node.exchange.dispatch import Dispatch
from node.ledger import peers
from node.ledger.alerts import Alert
from node.office.alert import raise_alert
from node.office.officer import Officer
from node.watch import tell as tell_module
from node.watch.conditions import CONDITIONS, Changed, holding, look
from node.watch.peers import STATES
from node.web import serving as web
from node.web.console import _is_own
from node.wiring import open_node, read_config
from tests.nodes import make_homes, mined_here, set_mode, shipments
from tests.nodes import serving as process
from tests.test_cli import result

PATIENCE_S = 40.0


@contextmanager
def serving(home: Path) -> Iterator[str]:
    """A node as a process of its own; yields its console's address."""
    with process(home):
        console = read_config(home).node.console
        yield f"http://{console.host}:{console.port}"


def fetch(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def words(home: Path, console: str, peer: str) -> set[str]:
    """The state of a peer, as the command, the API, the metrics and both pages say it."""
    rows = {row["authority"]: row for row in result("--home", home, "status")["peers"]}
    api = {
        row["authority"]: row for row in json.loads(fetch(f"{console}/api/v1/status")[1])["peers"]
    }
    one = json.loads(fetch(f"{console}/api/v1/peers/{peer}")[1])
    found = re.findall(
        rf'^kpnode_peer_state{{peer="{peer}",state="([a-z ]+)"}} 1\.0$',
        fetch(f"{console}/metrics")[1], re.MULTILINE,
    )  # fmt: skip
    return {
        rows[peer]["state"], api[peer]["state"], one["state"], *found,
        _chip(fetch(f"{console}/")[1], f'href="/peers/{peer}"'),
        _chip(fetch(f"{console}/peers/{peer}")[1], "<h1>"),
    }  # fmt: skip


def _chip(page: str, after: str) -> str:
    found = re.search(
        r'<span class="chip [a-z-]+"><span aria-hidden="true">.</span> ([a-z ]+)<',
        page.split(after, 1)[1],
    )
    assert found, page
    return found[1]


def until(told: Callable[[], Any], expected: Any) -> None:
    ends = time.monotonic() + PATIENCE_S
    while (now := told()) != expected:
        assert time.monotonic() < ends, f"{now} is not {expected}"
        time.sleep(0.3)


def issued(home: Path, to: str = "EU-BE", start: int = 0) -> str:
    made = result("--home", home, "issue", "-", stdin=json.dumps(shipments("RU", to, 1, start)))
    return str(made["issued"][0]["number"])


@pytest.fixture
def pair(homes: dict[str, Path]) -> Iterator[tuple[Path, str, Path]]:
    with serving(homes["RU"]) as console:
        yield homes["RU"], console, homes["EU-BE"]


def test_a_peer_dies_and_comes_back(pair: tuple[Path, str, Path]) -> None:
    home, console, be = pair
    with serving(be):
        until(lambda: words(home, console, "EU-BE"), {"in sync"})
    number = issued(home)
    until(lambda: words(home, console, "EU-BE"), {"behind"})
    until(lambda: json.loads(fetch(f"{console}/api/v1/peers/EU-BE")[1])["step"], "connect")

    row = json.loads(fetch(f"{console}/api/v1/status")[1])["peers"][0]
    assert (row["step"], row["out"]["lag"], row["failures"] > 0) == ("connect", 1, True)
    timeline = json.loads(fetch(f"{console}/api/v1/certificates/{number}/timeline")[1])["timeline"]
    failed = [event for event in timeline if event["what"] == "attempt failed"]
    assert failed
    assert "connect" in failed[0]["detail"]
    assert "attempt failed" in fetch(f"{console}/certificates/{number}")[1]
    assert "attempt failed" in str(result("--home", home, "certificate", "show", number))
    assert fetch(f"{console}/readyz")[0] == 200  # peers down never make it unready

    with serving(be):
        until(lambda: words(home, console, "EU-BE"), {"in sync"})
    attempts = json.loads(fetch(f"{console}/api/v1/peers/EU-BE")[1])["attempts"]
    assert attempts[0]["step"] == "delivered"
    assert attempts[0]["took_s"] > 0
    journey = json.loads(fetch(f"{console}/api/v1/documents/{timeline[0]['document']}/journey")[1])
    assert journey["to"][0]["outcome"]["outcome"] == "accepted"


def test_paused_here_is_paused_and_paused_there_is_refused(pair: tuple[Path, str, Path]) -> None:
    home, console, be = pair
    with serving(be) as there:
        until(lambda: words(home, console, "EU-BE"), {"in sync"})

        result("--home", home, "peer", "pause", "EU-BE", "--because", "a <test>")

        assert words(home, console, "EU-BE") == {"paused"}
        assert "paused: a &lt;test&gt;" in fetch(f"{console}/")[1]
        issued(home)
        until(lambda: words(be, there, "RU") & {"refused", "in sync"}, {"in sync"})
        result("--home", be, "issue", "-", stdin=json.dumps(mined_here()))
        until(lambda: words(be, there, "RU"), {"refused"})
        assert 'kpnode_refused_requests_total{code="paused"}' in fetch(f"{console}/metrics")[1]

        result("--home", home, "peer", "resume", "EU-BE", "--because", "done")
        until(lambda: words(home, console, "EU-BE"), {"in sync"})
        until(lambda: words(be, there, "RU"), {"in sync"})


def test_an_incident_comes_first_and_ends_with_its_resolution(pair: tuple[Path, str, Path]) -> None:
    home, console, be = pair
    with serving(be):
        until(lambda: words(home, console, "EU-BE"), {"in sync"})
        with open_node(home) as own:  # simulated: nothing of a real peer gives a wrong proof
            told = ("bad-proof", "in", "three proofs in a row failed", {}, own.now_s())
            own.ledger.write(lambda tx: peers.report(tx, "EU-BE", *told))

        assert words(home, console, "EU-BE") == {"incident"}
        assert "bad-proof" in fetch(f"{console}/incidents")[1]
        until(lambda: _alerts(home, console), {"incident"})

        result("--home", home, "peer", "resume", "EU-BE", "--because", "looked at")
        until(lambda: words(home, console, "EU-BE"), {"in sync"})
        until(lambda: _alerts(home, console), set())


def test_each_direction_can_be_silent_for_itself(homes: dict[str, Path]) -> None:
    home, be = homes["RU"], homes["EU-BE"]
    with serving(home) as console, serving(be):
        until(lambda: words(home, console, "EU-BE"), {"in sync"})
    with open_node(home) as own:  # simulated: an hour without a call of the peer's
        own.ledger.write(lambda tx: peers.update(tx, "EU-BE", last_in=own.now_s() - 3600))
    with serving(home) as console:
        assert words(home, console, "EU-BE") == {"silent"}
        row = json.loads(fetch(f"{console}/api/v1/status")[1])["peers"][0]
        assert row["silent"] == ["in"]
        with serving(be):
            until(lambda: words(home, console, "EU-BE"), {"in sync"})


def test_what_is_to_be_carried_is_due(homes: dict[str, Path], tmp_path: Path) -> None:
    home, be = homes["RU"], homes["EU-BE"]
    for one, other in ((home, "EU-BE"), (be, "RU")):
        with open_node(one) as own:
            set_mode(own, other, "carry")
        text = (one / "peers.toml").read_text("utf-8")
        (one / "peers.toml").write_text(text.replace('mode = "push"', 'mode = "carry"'), "utf-8")
    with serving(home) as console:
        assert words(home, console, "EU-BE") == {"in sync"}
        issued(home)
        assert words(home, console, "EU-BE") == {"carry due"}

        result("--home", home, "bundle", "export", "--peer", "EU-BE", tmp_path / "a.kpb")
        taken = result("--home", be, "bundle", "import", tmp_path / "a.kpb")
        result("--home", home, "bundle", "import", taken["receipt"])

        assert words(home, console, "EU-BE") == {"in sync"}


def _alerts(home: Path, console: str) -> set[str]:
    """The open alerts, if all say the same; else what they say."""
    api = {one["code"] for one in json.loads(fetch(f"{console}/api/v1/status")[1])["alerts"]}
    told = {one["code"] for one in result("--home", home, "status")["alerts"]}
    scraped = set(
        re.findall(r'^kpnode_alert{code="([a-z-]+)"', fetch(f"{console}/metrics")[1], re.M)
    )
    page = set(re.findall(r"<li><strong>([a-z-]+)</strong>", fetch(f"{console}/")[1]))
    return api if api == told == scraped == page else api | told | scraped | page | {"differ"}


class TestAlerts:
    @pytest.fixture
    def hook(self) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        told: list[dict[str, Any]] = []

        class Hook(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Hook)
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", told
        server.shutdown()
        server.server_close()

    def test_one_alert_a_condition_told_once_and_ended_by_itself(
        self, homes: dict[str, Path], hook: tuple[str, list[dict[str, Any]]], tmp_path: Path
    ) -> None:
        url, told = hook
        heard = tmp_path / "heard"
        with (homes["RU"] / "peers.toml").open("a", encoding="utf-8") as file:
            command = [
                sys.executable,
                "-c",
                f"import sys; open({str(heard)!r}, 'a').write(sys.stdin.read() + '\\n')",
            ]
            file.write(
                f"\n[alerts]\nwebhook = {json.dumps(url)}\ncommand = {json.dumps(command)}\nlag_minutes = 1\n"
            )
        issued(homes["RU"])
        with open_node(homes["RU"]) as own:  # simulated: it has waited for an hour
            own.ledger.write(_aged)
        with serving(homes["RU"]) as console:
            until(lambda: _alerts(homes["RU"], console), {"lag-old"})
            until(lambda: len(told), 1)
            with serving(homes["EU-BE"]):
                ended = CONDITIONS["lag-old"].closes_s
                assert ended == 60
                with open_node(homes["RU"]) as own:  # simulated: it has been better for a minute
                    until(lambda: own.ledger.read(_better), True)
                    own.ledger.write(_better_for_long)
                until(lambda: _alerts(homes["RU"], console), set())
                until(lambda: len(told), 2)

        assert [one["event"] for one in told] == ["began", "ended"]
        assert {one["subject"] for one in told} == {"EU-BE"}
        assert [json.loads(line)["event"] for line in heard.read_text().splitlines()] == [
            "began", "ended",
        ]  # fmt: skip


def _aged(tx: Any) -> None:
    tx.execute("DROP TRIGGER stream_out_no_update")
    tx.execute("UPDATE stream_out SET queued_at = queued_at - 3600")


def _better(tx: Any) -> bool:
    row = tx.execute("SELECT better_since FROM alerts WHERE code = 'lag-old'").fetchone()
    return row is not None and row["better_since"] is not None


def _better_for_long(tx: Any) -> None:
    tx.execute("UPDATE alerts SET better_since = better_since - 3600 WHERE code = 'lag-old'")


def test_pages_are_safe_and_say_where_things_are(homes: dict[str, Path]) -> None:
    with serving(homes["RU"]) as console:
        with urllib.request.urlopen(f"{console}/") as answer:
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
        request = urllib.request.Request(f"{console}/", headers={"Host": "evil.example"})
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request)
        with refused.value:
            assert refused.value.code == 404
        assert fetch(f"{console}/peers/XX")[0] == 404
        assert "kpnode certificate list" in fetch(f"{console}/certificates/RU1")[1]
        assert fetch(f"{console}/static/..%2fpages.py")[0] == 404
        assert fetch(f"{console}/certificates?number=%00&party='\"<script>")[0] == 200
        for path in ("queue", "incidents", "ledger", "ledger?before=x", "system", "certificates"):
            assert fetch(f"{console}/{path}")[0] == 200


def test_a_node_that_may_not_sign_is_not_ready(homes: dict[str, Path]) -> None:
    number = issued(homes["RU"])
    assert number
    home = homes["RU"]
    with serving(home) as console, serving(homes["EU-BE"]):
        until(lambda: words(home, console, "EU-BE"), {"in sync"})
    database = home / "data" / "node.db"
    saved = database.read_bytes()
    issued(home, start=1)
    with serving(home) as console, serving(homes["EU-BE"]):
        until(lambda: words(home, console, "EU-BE"), {"in sync"})
    for path in database.parent.glob("node.db*"):
        path.unlink()
    database.write_bytes(saved)  # an old copy was put back

    with serving(home) as console:
        assert fetch(f"{console}/readyz")[0] == 503
        assert fetch(f"{console}/healthz")[0] == 200
        assert "stopped signing" in fetch(f"{console}/")[1]
        until(lambda: "node-stopped" in _alerts(home, console), True)


def test_every_state_is_driven_here() -> None:
    text = Path(__file__).read_text("utf-8")

    for word in STATES:
        assert f'{{"{word}"}}' in text, word


def test_peers_are_listed_worst_first(tmp_path: Path) -> None:
    homes = make_homes(tmp_path, "RU", "EU-BE", "BY")
    with open_node(homes["RU"]) as own:
        own.ledger.write(lambda tx: peers.report(tx, "BY", "bad-proof", "in", "x", {}, own.now_s()))
    assert [row["authority"] for row in result("--home", homes["RU"], "status")["peers"]] == [
        "BY", "EU-BE",
    ]  # fmt: skip


def test_watching_shows_it_anew_until_it_is_ended(homes: dict[str, Path]) -> None:
    watching = subprocess.Popen(
        [sys.executable, "-m", "node.cli", "--home", str(homes["RU"]), "--json", "status", "--watch"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert watching.stdout is not None
    first, second = watching.stdout.readline(), watching.stdout.readline()
    watching.send_signal(signal.SIGINT)
    _, said = watching.communicate(timeout=20)

    assert [json.loads(line)["peers"][0]["state"] for line in (first, second)] == ["silent"] * 2
    assert (watching.returncode, said) == (0, "")


class TestWhatATrialFound:
    def test_a_clock_that_is_too_far_off_is_named(self, homes: dict[str, Path]) -> None:
        home = homes["RU"]
        issued(home)

        class Ahead(BaseHTTPRequestHandler):
            """Simulated: a peer five minutes ahead refuses everything as expired."""

            def do_GET(self) -> None:
                body = json.dumps(
                    {"code": "expired", "detail": "\x1b[2Jforged\nALERT: all is well"}
                )
                self.send_response_only(400)
                self.send_header("Date", self.date_time_string(time.time() + 300))
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            def do_POST(self) -> None:
                self.do_GET()

            def log_message(self, *_: Any) -> None:
                pass

        port = int(read_config(home).peers[0].url.rpartition(":")[2])
        server = HTTPServer(("localhost", port), Ahead)
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            with serving(home) as console:
                until(lambda: words(home, console, "EU-BE"), {"refused"})
                row = json.loads(fetch(f"{console}/api/v1/status")[1])["peers"][0]
                assert 290 <= row["clock_s"] <= 310
                assert "ahead of ours" in fetch(f"{console}/peers/EU-BE")[1]
                assert row["last_error"].isprintable()  # nothing that a terminal would obey
        finally:
            server.shutdown()
            server.server_close()

    def test_a_key_file_that_cannot_be_read_is_an_incident_that_ends_by_itself(
        self, homes: dict[str, Path]
    ) -> None:
        home = homes["RU"]
        file = read_config(home).peers[0].jwks
        kept = file.read_bytes()
        with serving(home) as console, serving(homes["EU-BE"]):
            until(lambda: words(home, console, "EU-BE"), {"in sync"})
            file.write_bytes(b"garbage")
            until(lambda: words(home, console, "EU-BE"), {"incident"})
            assert "key-set-unusable" in fetch(f"{console}/incidents")[1]
            assert 'kpnode_peer_open_incidents{peer="EU-BE"} 1.0' in fetch(f"{console}/metrics")[1]
            file.write_bytes(kept)
            until(lambda: words(home, console, "EU-BE"), {"in sync"})

    def test_a_new_peer_calls_nobody(self, homes: dict[str, Path]) -> None:
        with open_node(homes["RU"]) as own:
            assert [found.code for found in holding(own)] == []

    def test_a_page_that_is_left_leaves_no_trace_and_open_ones_do_not_delay_the_end(
        self, homes: dict[str, Path]
    ) -> None:
        with serving(homes["RU"]) as console:
            with urllib.request.urlopen(f"{console}/events") as stream:
                assert stream.readline() == b"retry: 2000\n"
            time.sleep(3)
            head = urllib.request.Request(f"{console}/events", method="HEAD")
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(head)
            with refused.value:
                assert refused.value.code == 405
        assert "Traceback" not in (homes["RU"] / "serve.log").read_text()

    def test_alerts_stand_on_every_page(self, homes: dict[str, Path]) -> None:
        with open_node(homes["RU"]) as own:
            told = ("bad-proof", "in", "x", {}, own.now_s())
            own.ledger.write(lambda tx: peers.report(tx, "EU-BE", *told))
            look(own)
        with serving(homes["RU"]) as console:
            for path in ("", "peers/EU-BE", "queue", "certificates", "ledger", "system"):
                assert 'id="standing"' in fetch(f"{console}/{path}")[1], path

    @pytest.mark.parametrize(
        ("host", "console", "own"),
        [
            ("localhost:8111", "localhost", True), ("evil.example", "localhost", False),
            ("127.0.0.1", "0.0.0.0", True), ("evil.example", "0.0.0.0", False),
            ("192.0.2.7:8111", "0.0.0.0", True), ("192.0.2.7", "localhost", False),
            ("console.example", "console.example", True), ("", "localhost", False),
        ],
    )  # fmt: skip
    def test_only_a_name_of_this_machine_reads_the_console(
        self, host: str, console: str, own: bool
    ) -> None:
        assert _is_own(host, console) is own

    async def test_who_does_not_take_an_alert_is_asked_again(
        self, homes: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tell_module, "AGAIN_S", (0.1, 0.1, 0.1))  # simulated: time goes fast
        counted = tmp_path / "counted"
        program = f"import sys, os; open({str(counted)!r}, 'a').write('x'); sys.exit(os.path.getsize({str(counted)!r}) < 3)"
        alert = Alert("disk-low", "", "0.1 GiB left", 0, 0, None)
        with (homes["RU"] / "peers.toml").open("a", encoding="utf-8") as file:
            file.write(f"\n[alerts]\ncommand = {json.dumps([sys.executable, '-c', program])}\n")
        with open_node(homes["RU"]) as own:
            async with new_session() as session:
                await tell_module.tell(own, session, Changed([alert], []))
        assert counted.read_text() == "xxx"


async def test_what_comes_with_the_start_is_judged_by_at_once(
    homes: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[int] = []
    judge = Dispatch.judge_quarantine
    counted = lambda self: judged.append(judge(self)) or judged[-1]  # noqa: E731
    monkeypatch.setattr(Dispatch, "judge_quarantine", counted)
    with open_node(homes["RU"]) as own:

        def ready() -> None:
            raise_alert(own, Officer(), subject="forged", first="RU00000001", reason="seen")

        stop = asyncio.Event()
        running = asyncio.create_task(web.serve(own, read_config, stop, ready))
        async with asyncio.timeout(20):
            while len(judged) < 2:  # noqa: ASYNC110 - at the start, and by the alert
                await asyncio.sleep(0.05)
        stop.set()
        await running
