"""Webhooks: signed, in order, again until taken, from a durable cursor; never to who is not allowed."""

import asyncio
import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from node.errors import LedgerUnavailableError
from node.office.issue import issue
from node.office.officer import Officer
from node.web import serving as web
from node.web import watching
from node.wiring import open_node, reread
from tests.nodes import serving as process
from tests.nodes import shipments
from tests.test_cli import errors, result, run
from tests.test_watch import until


class Receiver:
    """A real receiver that answers what the test says: a status each, or a stall."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.stall_s = 0.0
        self.seen: list[tuple[dict[str, str], bytes]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.seen.append(({k.lower(): v for k, v in self.headers.items()}, body))
                if receiver.stall_s:
                    time.sleep(receiver.stall_s)
                status = receiver.answers.pop(0) if receiver.answers else 204
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", f"http://localhost:{receiver.port}/elsewhere")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("localhost", 0), Handler)
        self.port = self._server.server_address[1]
        self.url = f"http://localhost:{self.port}/events"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def subjects(self) -> list[str | None]:
        """Of those it has taken or refused, in the order they came."""
        return [json.loads(body).get("subject") for _, body in self.seen]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def ru(homes: dict[str, Path], receiver: Receiver) -> Path:
    """RU, which allows the receiver."""
    path = homes["RU"] / "peers.toml"
    allow = f'\n[webhooks]\nallow = ["http://localhost:{receiver.port}"]\n'
    path.write_text(path.read_text() + allow)
    return homes["RU"]


def issued(home: Path, count: int = 1, start: int = 0) -> list[str]:
    told = json.dumps(shipments(count=count, start=start))
    return [one["number"] for one in result("--home", home, "issue", "-", stdin=told)["issued"]]


def hook(home: Path) -> dict[str, Any]:
    (one,) = result("--home", home, "webhook", "list")["items"]
    return dict(one)


def test_events_come_signed_and_in_order(ru: Path, receiver: Receiver) -> None:
    before = issued(ru)
    made = result("--home", ru, "webhook", "add", receiver.url)
    with process(ru):
        numbers = issued(ru, 3, 1)
        until(lambda: len(receiver.seen), 3)

    assert receiver.subjects() == numbers
    assert before[0] not in numbers
    secret = base64.b64decode(made["secret"].removeprefix("whsec_"))
    for headers, body in receiver.seen:
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        expected = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
        assert headers["webhook-signature"] == f"v1,{expected}"
    assert [h["webhook-id"] for h, _ in receiver.seen] == [f"kpx-sandbox/RU/{n}" for n in (1, 2, 3)]
    secret_file = next((ru / "keys" / "private").glob("webhook-*"))
    assert secret_file.stat().st_mode & 0o777 == 0o600


def test_what_is_not_taken_comes_again_before_anything_else(ru: Path, receiver: Receiver) -> None:
    result("--home", ru, "webhook", "add", receiver.url)
    receiver.answers = [500, 302, 503]
    with process(ru):
        first, second = issued(ru, 2)
        until(lambda: hook(ru)["state"], "waiting")
        until(lambda: hook(ru)["cursor"], 1)

    assert receiver.subjects() == [first, first, first, first, second]
    assert (hook(ru)["state"], hook(ru)["last_error"]) == ("good", None)


def test_who_stalls_holds_up_nobody(ru: Path, receiver: Receiver) -> None:
    other = Receiver()
    path = ru / "peers.toml"
    path.write_text(
        path.read_text().replace("allow = [", f'allow = ["http://localhost:{other.port}", ')
    )
    result("--home", ru, "webhook", "add", receiver.url)
    result("--home", ru, "webhook", "add", other.url)
    receiver.stall_s = 5
    try:
        with process(ru):
            issued(ru, 3)
            until(lambda: len(other.seen), 3)
            assert len(receiver.seen) <= 1
    finally:
        receiver.stall_s = 0
        other.close()


def test_who_was_away_misses_nothing_over_restarts(ru: Path, receiver: Receiver) -> None:
    result("--home", ru, "webhook", "add", receiver.url)
    receiver.answers = [503]
    with process(ru):
        first = issued(ru)
        until(lambda: len(receiver.seen), 1)
    later = issued(ru, 4, 1)  # while no node runs
    with open_node(ru) as own:
        # Simulated: the pause that it was given is over.
        own.ledger.write(lambda tx: tx.execute("UPDATE subscribers SET next_try = 0"))
    with process(ru):
        until(lambda: len(receiver.seen), 6)

    assert receiver.subjects() == [*first, *first, *later]


def test_gone_is_not_asked_again_until_told_to(ru: Path, receiver: Receiver) -> None:
    made = result("--home", ru, "webhook", "add", receiver.url)
    receiver.answers = [410]
    with process(ru):
        issued(ru)
        until(lambda: hook(ru)["state"], "stopped")
        issued(ru, 1, 1)
        time.sleep(2.5)
        assert len(receiver.seen) == 1

        result("--home", ru, "webhook", "replay", made["id"], "--after", "-1")
        until(lambda: hook(ru)["cursor"], 1)

    assert len(receiver.seen) == 3


def test_from_the_start_a_ping_and_the_end(ru: Path, receiver: Receiver) -> None:
    issued(ru, 2)
    made = result("--home", ru, "webhook", "add", receiver.url, "--from-start")
    assert result("--home", ru, "webhook", "ping", made["id"])["taken"]
    receiver.answers = [500]
    assert result("--home", ru, "webhook", "ping", made["id"], code=7)["error"] == "it answered 500"
    assert [json.loads(body)["type"] for _, body in receiver.seen] == ["org.kp.ping"] * 2
    with process(ru):
        until(lambda: hook(ru)["cursor"], 1)

    result("--home", ru, "webhook", "remove", made["id"])

    assert "No webhooks" in run("--home", ru, "webhook", "list").stdout
    assert list((ru / "keys" / "private").glob("webhook-*")) == []
    for verb in (("remove",), ("ping",), ("replay", "--after", "0")):
        assert errors("--home", ru, "webhook", verb[0], made["id"], *verb[1:], code=3)


@pytest.mark.parametrize(
    "url",
    ["http://localhost:1/", "https://localhost:{port}/", "http://localhost:{port}@evil.example/",
     "http://evil.example/#http://localhost:{port}", "ftp://localhost:{port}/", "nonsense"],
)  # fmt: skip
def test_only_allowed_addresses(ru: Path, receiver: Receiver, url: str) -> None:
    (told,) = errors("--home", ru, "webhook", "add", url.format(port=receiver.port), code=1)

    assert told["code"] == "not-allowed"


def test_an_address_no_longer_allowed_is_not_posted_to(ru: Path, receiver: Receiver) -> None:
    result("--home", ru, "webhook", "add", receiver.url)
    path = ru / "peers.toml"
    path.write_text(path.read_text().partition("\n[webhooks]")[0])
    with process(ru):
        issued(ru)
        until(lambda: hook(ru)["state"], "waiting")

    assert receiver.seen == []
    assert "allow" in hook(ru)["last_error"]


async def test_nobody_is_told_later_for_what_the_node_sees_to(
    ru: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    result("--home", ru, "webhook", "add", receiver.url)
    begun, go, stop = threading.Event(), threading.Event(), asyncio.Event()

    def slow(_: Any) -> None:  # simulated: thousands of goods to be held
        begun.set()
        assert go.wait(20)

    monkeypatch.setattr(watching, "attend", slow)
    monkeypatch.setattr(watching, "wanted", lambda *_: True)
    with open_node(ru) as own:
        running = asyncio.create_task(web.serve(own, reread, stop, lambda: None))
        assert await asyncio.to_thread(begun.wait, 20)
        (one,) = await asyncio.to_thread(issue, own, shipments(), Officer())
        async with asyncio.timeout(20):
            while one.number not in receiver.subjects():  # noqa: ASYNC110 - a real receiver
                await asyncio.sleep(0.05)
        assert not go.is_set()
        go.set()
        stop.set()
        await running


async def test_a_ledger_that_cannot_be_read_for_a_while_ends_nothing(
    ru: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    result("--home", str(ru), "webhook", "add", receiver.url)
    (number,) = issued(ru)
    with open_node(ru) as own:
        read, failures = own.ledger.read, list[LedgerUnavailableError]()

        def fails_first(*asked: Any, **how: Any) -> Any:
            if failures:
                raise failures.pop()
            return read(*asked, **how)

        def ready() -> None:
            failures.extend([LedgerUnavailableError("simulated: locked")] * 6)

        monkeypatch.setattr(own.ledger, "read", fails_first)
        monkeypatch.setattr(watching, "WATCH_S", 0.01)
        stop = asyncio.Event()
        running = asyncio.create_task(web.serve(own, reread, stop, ready))
        async with asyncio.timeout(20):
            while number not in receiver.subjects():  # noqa: ASYNC110 - a real receiver
                await asyncio.sleep(0.05)
        stop.set()
        await running
    assert not failures
