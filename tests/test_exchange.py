"""Sender and receiver together over real HTTP, and a sender before a recipient that misbehaves."""

import asyncio
import json
import shutil
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from aiohttp import web

from node.authority import OwnAuthority
from node.domain.kinds import RECEIPT
from node.exchange import backoff
from node.exchange.receive import Receiver
from node.exchange.send import Sender
from node.ids import Authority
from node.jose.signing import sign_document
from node.ledger import certificates, entries, peers, streams, transport, witness
from node.log.note import sign_checkpoint
from node.office.confirm import confirm
from node.office.issue import issue
from node.office.officer import Officer
from node.wiring import open_node
from tests.nodes import SetClock, shipments
from tests.serving import courier, deliver, faulty, listening
from tests.test_ledger import audited
from tests.wire import payload

RU, BE = Authority("RU"), Authority("EU-BE")


def state(own: OwnAuthority, peer: str = "EU-BE") -> peers.PeerState:
    found = own.ledger.read(lambda tx: peers.state(tx, peer))
    assert found is not None
    return found


def incidents(own: OwnAuthority, peer: str = "EU-BE") -> list[str]:
    return [i.code for i in own.ledger.read(lambda tx: peers.incidents(tx, peer))]


def certificate(own: OwnAuthority, number: str) -> certificates.Certificate:
    found = own.ledger.read(lambda tx: certificates.by_number(tx, number))
    assert found is not None
    return found


async def acknowledged(own: OwnAuthority, position: int) -> None:
    for _ in range(500):
        if state(own).acknowledged >= position:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"position {position} was not acknowledged")


class TestIdle:
    async def test_a_courier_with_nothing_to_say_writes_nothing(
        self, ru: OwnAuthority, be: OwnAuthority
    ) -> None:
        written = lambda: ru.ledger.write(lambda tx: tx.total_changes)  # noqa: E731
        async with listening(ru), listening(be), courier(ru, "EU-BE") as worker:
            running = asyncio.create_task(worker.run())
            issue(ru, shipments(), Officer())
            worker.wake()
            await acknowledged(ru, 1)
            await asyncio.sleep(backoff.FIRST_HEARTBEAT_S + 0.2)
            before = written()

            for _ in range(20):
                worker.wake()
                await asyncio.sleep(0.02)
            idle = written()
            issue(ru, shipments(start=1), Officer())
            worker.wake()
            await acknowledged(ru, 2)
            running.cancel()

        assert idle == before


class TestRound:
    async def test_certificates_are_delivered_and_acknowledged(
        self, ru: OwnAuthority, be: OwnAuthority
    ) -> None:
        issue(ru, shipments(count=3), Officer())

        async with listening(ru), listening(be):
            done = await deliver(ru, "EU-BE")

        assert (done.delivered, done.error) == (3, None)
        assert state(ru).acknowledged == 3
        assert certificate(ru, "RU00010118").state == "delivered"
        assert certificate(be, "RU00010118").state == "announced"

    async def test_the_confirmation_comes_back(self, ru: OwnAuthority, be: OwnAuthority) -> None:
        issue(ru, shipments(), Officer())
        async with listening(ru), listening(be):
            await deliver(ru, "EU-BE")
            confirm(be, ["RU00010118"], Officer("Antwerp"))

            await deliver(be, "RU")

        assert certificate(ru, "RU00010118").state == "confirmed"
        assert certificate(be, "RU00010118").state == "admitted"
        assert audited(ru).ok
        assert audited(be).ok
        sizes = [own.ledger.read(entries.size) for own in (ru, be)]
        assert sizes == [4, 4]  # certificate, receipt, confirmation, receipt in both

    async def test_each_has_witnessed_the_others_log(
        self, ru: OwnAuthority, be: OwnAuthority
    ) -> None:
        async with listening(ru), listening(be):
            for start in range(3):
                issue(ru, shipments(start=start), Officer())
                await deliver(ru, "EU-BE")
                confirm(be, [shipments(start=start)[0]["number"]], Officer())
                await deliver(be, "RU")

        for own, other, peer in ((ru, be, "EU-BE"), (be, ru, "RU")):
            held = own.ledger.read(lambda tx, peer=peer: witness.held(tx, peer))
            assert held is not None
            assert held.root == other.ledger.read(lambda tx, size=held.size: entries.root(tx, size))
            assert incidents(own, peer) == []

    async def test_an_inclusion_is_checked_after_a_bundle(
        self, ru: OwnAuthority, be: OwnAuthority
    ) -> None:
        issue(ru, shipments(count=4), Officer())
        async with listening(ru), listening(be):
            await deliver(ru, "EU-BE")
            assert be.ledger.read(lambda tx: transport.wanted_spot_check(tx, "RU"))

            await deliver(be, "RU")

        assert be.ledger.read(lambda tx: transport.wanted_spot_check(tx, "RU")) is None
        assert incidents(be, "RU") == []

    async def test_more_than_a_bundle_is_delivered_in_several(
        self, ru: OwnAuthority, be: OwnAuthority
    ) -> None:
        issue(ru, shipments(count=10), Officer())
        ru.ledger.write(lambda tx: peers.update(tx, "EU-BE", batch=4))

        async with listening(ru), listening(be):
            done = await deliver(ru, "EU-BE")

        assert (done.delivered, done.bundles) == (10, 2)  # 4, then the batch has grown
        assert state(ru).batch == 8

    async def test_a_refused_document_is_shown_and_does_not_block(
        self, ru: OwnAuthority, be: OwnAuthority
    ) -> None:
        first, second = shipments(count=2)
        issue(ru, [first], Officer())
        be.ledger.write(lambda tx: _take_number(be, tx, first["number"]))
        issue(ru, [second], Officer())

        async with listening(ru), listening(be):
            await deliver(ru, "EU-BE")

        refused = certificate(ru, first["number"])
        assert refused.state == "refused"
        assert refused.errors[0]["code"] == "number-conflict"
        assert certificate(ru, second["number"]).state == "delivered"


def _take_number(own: OwnAuthority, tx: Any, number: str) -> None:
    """Some document of the ledger that has taken a number of RU before."""
    from node.domain.kinds import CERTIFICATE

    signed = own.sign(
        CERTIFICATE, ["RU"], payload_of_example() | {"number": number}, iat=own.now_s()
    )
    own.log(tx, [signed], own.now_s())
    tx.execute("UPDATE certificates SET participant = 'RU'")


def payload_of_example() -> dict[str, Any]:
    path = Path(__file__).parents[1] / "schemas/examples/valid/certificate.v1.json"
    return dict(json.loads(path.read_text("utf-8"))["body"])


class TestFailure:
    def test_manifests_that_expired_unanswered_are_forgotten(
        self, ru: OwnAuthority, clock: SetClock
    ) -> None:
        issue(ru, shipments(count=1), Officer())
        for _ in range(5):  # the peer is away
            assert Sender(ru).next_bundle(BE, heartbeat=True)
            clock.moment += timedelta(days=1, seconds=200)

        (kept,) = ru.ledger.read(lambda tx: tx.execute("SELECT count(*) FROM sent").fetchone())
        assert kept <= 2

    async def test_a_peer_that_is_away_is_tried_again_later_with_the_same_bytes(
        self, ru: OwnAuthority, be: OwnAuthority, clock: SetClock
    ) -> None:
        issue(ru, shipments(), Officer())

        done = await deliver(ru, "EU-BE")

        assert done.error is not None
        assert state(ru).attempts == 1
        assert state(ru).next_try >= ru.now_s()
        before = Sender(ru).next_bundle(BE, heartbeat=False)
        again = Sender(ru).next_bundle(BE, heartbeat=False)
        assert before == again
        async with listening(be):
            assert (await deliver(ru, "EU-BE")).delivered == 1
        assert (state(ru).attempts, state(ru).last_error) == (0, None)

    async def test_back_off_survives_a_restart(
        self, homes: dict[str, Path], clock: SetClock
    ) -> None:
        with open_node(homes["RU"], clock=clock) as own:
            issue(own, shipments(), Officer())
            await deliver(own, "EU-BE")
            before = state(own)

        with open_node(homes["RU"], clock=clock) as own:
            assert state(own) == before
            assert state(own).attempts == 1

    async def test_an_expired_manifest_is_replaced_for_the_same_positions(
        self, ru: OwnAuthority, clock: SetClock
    ) -> None:
        issue(ru, shipments(), Officer())
        first = Sender(ru).next_bundle(BE, heartbeat=False)
        clock.advance(days=2)

        second = Sender(ru).next_bundle(BE, heartbeat=False)

        assert first is not None
        assert second is not None
        assert first.manifest != second.manifest
        assert first.raw.split(b"\n")[1:] == second.raw.split(b"\n")[1:]

    async def test_a_heartbeat_in_flight_gives_way_to_documents(self, ru: OwnAuthority) -> None:
        empty = Sender(ru).next_bundle(BE, heartbeat=True)
        issue(ru, shipments(), Officer())

        full = Sender(ru).next_bundle(BE, heartbeat=False)

        assert empty is not None
        assert full is not None
        assert (empty.count, full.count) == (0, 1)

    async def test_after_a_time_out_half_as_many_are_sent(self, ru: OwnAuthority) -> None:
        issue(ru, shipments(count=9), Officer())
        first = Sender(ru).next_bundle(BE, heartbeat=False)
        assert first is not None

        Sender(ru).halve(BE, first.count)

        second = Sender(ru).next_bundle(BE, heartbeat=False)
        assert second is not None
        assert (first.count, second.count) == (9, 4)

    async def test_a_lost_receipt_is_asked_for_with_the_same_bundle(
        self, ru: OwnAuthority, be: OwnAuthority
    ) -> None:
        issue(ru, shipments(), Officer())
        outgoing = Sender(ru).next_bundle(BE, heartbeat=False)
        assert outgoing is not None
        manifest, _, rest = outgoing.raw.partition(b"\n")
        receiver = Receiver(be)
        receiver.receive(receiver.open(manifest), rest)  # the answer is lost (simulated)
        before = be.ledger.read(entries.size)

        async with listening(be):
            done = await deliver(ru, "EU-BE", heartbeat=False)

        assert done.delivered == 1
        assert be.ledger.read(entries.size) == before

    async def test_a_recipient_that_was_restored_gets_everything_again(
        self, ru: OwnAuthority, be: OwnAuthority
    ) -> None:
        issue(ru, shipments(count=2), Officer())
        async with listening(be):
            await deliver(ru, "EU-BE")
            ru.ledger.write(lambda tx: peers.update(tx, "EU-BE", acknowledged=0))

            done = await deliver(ru, "EU-BE", heartbeat=False)

        assert (done.delivered, done.error) == (2, None)
        assert certificate(ru, "RU00010118").outcome == "duplicate"
        assert certificate(ru, "RU00010118").state == "delivered"


Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def answering(status: int, code: str = "", **members: Any) -> Answer:
    async def handler(request: web.Request) -> web.StreamResponse:
        if request.method == "GET":
            return web.Response(status=404)
        await request.read()
        headers = members.pop("headers", {})
        return web.json_response(
            {"code": code, "detail": "made up"} | members, status=status, headers=headers
        )

    return handler


class TestMisbehavingRecipient:
    """The recipient is a server of the test's own (simulated)."""

    @pytest.mark.parametrize(
        ("status", "code", "at_cap"),
        [
            (401, "bad-signature", False),
            (429, "too-many-requests", False),
            (503, "paused", False),
            (500, "internal", False),
            (409, "log-fork", False),
            (400, "malformed-bundle", True),
            (403, "wrong-audience", True),
            (404, "not-found", True),
            (302, "", True),
        ],
    )
    async def test_any_refusal_is_written_down_and_tried_again(
        self, ru: OwnAuthority, be: OwnAuthority, status: int, code: str, at_cap: bool
    ) -> None:
        issue(ru, shipments(), Officer())

        async with faulty(be, answering(status, code)):
            done = await deliver(ru, "EU-BE")

        assert done.error is not None
        assert str(status) in done.error
        assert (state(ru).next_try - ru.now_s() == backoff.CAP_S) == at_cap
        assert incidents(ru) == []

    async def test_retry_after_is_honoured(self, ru: OwnAuthority, be: OwnAuthority) -> None:
        issue(ru, shipments(), Officer())

        async with faulty(be, answering(503, "paused", headers={"Retry-After": "600"})):
            await deliver(ru, "EU-BE")

        assert state(ru).next_try - ru.now_s() >= 600

    @pytest.mark.parametrize("code", ["stream-fork", "log-fork"])
    async def test_a_stated_fork_stops_that_direction(
        self, ru: OwnAuthority, be: OwnAuthority, code: str
    ) -> None:
        issue(ru, shipments(), Officer())

        async def handler(request: web.Request) -> web.StreamResponse:
            raw = await request.read()
            if request.method == "GET":
                return web.Response(status=404)
            manifest = _doc_id(raw.partition(b"\n")[0])
            body = {"manifest": manifest, "results": [], "code": code}
            statement = be.sign(RECEIPT, ["RU"], body, iat=be.now_s()).raw.decode()
            return web.json_response({"code": code, "statement": statement}, status=409)

        async with faulty(be, handler):
            await deliver(ru, "EU-BE")

            assert incidents(ru) == [code]
            assert (await deliver(ru, "EU-BE")).bundles == 0

    @pytest.mark.parametrize(
        "body",
        [
            b'{"code": "x", "detail": "\\ud800"}',
            b'{"code": "stream-fork", "statement": "\\ud800"}',
            b"[" * 100_000,
            b"\xff\xfe",
            b'{"code": 5, "detail": {"a": []}}',
        ],
    )
    @pytest.mark.parametrize("status", [200, 400, 409, 503])
    async def test_whatever_a_peer_answers_the_courier_lives(
        self, ru: OwnAuthority, be: OwnAuthority, status: int, body: bytes
    ) -> None:
        issue(ru, shipments(), Officer())

        async def handler(request: web.Request) -> web.StreamResponse:
            await request.read()
            answer = 404 if request.method == "GET" else status
            return web.Response(status=answer, body=body, content_type="application/json")

        async with faulty(be, handler):
            done = await deliver(ru, "EU-BE")

        assert done.error is not None
        assert state(ru).last_error is not None

    async def test_a_stopped_direction_does_not_spin(
        self, ru: OwnAuthority, be: OwnAuthority
    ) -> None:
        import asyncio

        ru.ledger.write(lambda tx: peers.report(tx, "EU-BE", "stream-fork", "out", "x", {}, 0))
        async with listening(be), courier(ru, "EU-BE") as worker:
            rounds = 0
            original = worker.round

            async def counting(*, heartbeat: bool) -> Any:
                nonlocal rounds
                rounds += 1
                return await original(heartbeat=heartbeat)

            worker.round = counting  # type: ignore[method-assign]
            task = asyncio.create_task(worker.run())
            for _ in range(20):
                await asyncio.sleep(0.02)
                worker.wake()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        assert rounds <= 22

    async def test_a_courier_that_is_woken_and_cancelled_at_once_ends(
        self, ru: OwnAuthority, be: OwnAuthority
    ) -> None:
        import asyncio

        async with listening(be), courier(ru, "EU-BE") as worker:
            task = asyncio.create_task(worker.run())
            await asyncio.sleep(0.1)

            worker.wake()
            task.cancel()

            async with asyncio.timeout(10):
                await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()

    async def test_a_taken_lease_is_waited_for(self, ru: OwnAuthority, be: OwnAuthority) -> None:
        issue(ru, shipments(), Officer())
        now_s = ru.now_s()
        ru.ledger.write(lambda tx: peers.take_lease(tx, "EU-BE", "serve-1-x", now_s, now_s + 60))
        async with listening(be):
            taken = await deliver(ru, "EU-BE")

            ru.ledger.write(lambda tx: peers.drop_leases(tx, "serve"))

            assert (taken.busy, taken.delivered, taken.error) == (True, 0, None)
            assert (await deliver(ru, "EU-BE")).delivered == 1

    async def test_a_fork_seen_in_a_receipt_stops_both_directions(
        self, ru: OwnAuthority, be: OwnAuthority
    ) -> None:
        issue(ru, shipments(), Officer())
        async with listening(be):
            await deliver(ru, "EU-BE")
        held = ru.ledger.read(lambda tx: witness.held(tx, "EU-BE"))
        assert held is not None
        signer = be.signers["log"]
        public = be.keys.keys[signer.kid].raw
        note = sign_checkpoint(
            be.checkpoints.origin, held.size, bytes(32), public, signer.sign
        ).note

        def fork(body: dict[str, Any]) -> None:
            body["log"] = {"checkpoint": note, "from_size": held.size, "consistency": []}

        async with faulty(be, _with_receipt(be, fork)):
            await deliver(ru, "EU-BE")

        for direction in ("in", "out"):
            found = ru.ledger.read(
                lambda tx, d=direction: peers.incidents(tx, "EU-BE", "log-fork", direction=d)
            )
            assert len(found) == 1

    async def test_a_denied_inclusion_is_an_incident(
        self, ru: OwnAuthority, be: OwnAuthority
    ) -> None:
        issue(ru, shipments(count=2), Officer())
        async with listening(be):
            await deliver(ru, "EU-BE")

        async def handler(request: web.Request) -> web.StreamResponse:
            code = {"code": "not-found"} if "inclusion" in request.path else {}
            return web.json_response(code, status=404)

        async with faulty(ru, handler):
            await deliver(be, "RU", heartbeat=False)

        assert incidents(be, "RU") == ["bad-inclusion"]

    async def test_an_unending_answer_is_cut_off(self, ru: OwnAuthority, be: OwnAuthority) -> None:
        async def handler(request: web.Request) -> web.StreamResponse:
            await request.read()
            response = web.StreamResponse()
            await response.prepare(request)
            for _ in range(40):
                await response.write(b"A" * 65536)
            return response

        issue(ru, shipments(), Officer())
        async with faulty(be, handler):
            done = await deliver(ru, "EU-BE")

        assert done.error is not None
        assert "more than" in done.error

    @pytest.mark.parametrize(
        "change",
        [
            lambda b: b.update(manifest="A" * 43),
            lambda b: b["stream"].update(head="A" * 43),
            lambda b: b["stream"].update(have=99),
            lambda b: b["results"].pop(),
            lambda b: b["results"].reverse(),
            lambda b: b["results"][0].update(doc="A" * 43),
            lambda b: b["results"][0].update(index=77),
            lambda b: b.update(witnessed={"size": 1, "root": "A" * 43}),
            lambda b: b.update(witnessed={"size": 99, "root": "A" * 43}),
            lambda b: b["log"].update(checkpoint="kpx-sandbox/EU-BE\n2\nx\n"),
            lambda b: b.update(code="log-fork"),
            lambda b: b.update(rejudged=[{"doc": "A" * 43, "outcome": "accepted", "index": 0}]),
            lambda b: b.pop("log"),
        ],
    )
    async def test_a_receipt_that_is_none_does_not_count(
        self, ru: OwnAuthority, be: OwnAuthority, change: Callable[[dict[str, Any]], object]
    ) -> None:
        issue(ru, shipments(count=2), Officer())

        async with faulty(be, _with_receipt(be, change)):
            done = await deliver(ru, "EU-BE")

        assert done.error is not None
        assert state(ru).acknowledged == 0
        assert ru.ledger.read(entries.size) == 2

    async def test_a_receipt_of_another_signer_does_not_count(
        self, ru: OwnAuthority, be: OwnAuthority
    ) -> None:
        issue(ru, shipments(), Officer())
        be.signers = {**be.signers, "msg": be.signers["doc"]}

        async with faulty(be, _with_receipt(be, lambda body: None)):
            done = await deliver(ru, "EU-BE")

        assert done.error is not None
        assert "wrong-key-role" in done.error

    async def test_a_receipt_beyond_the_stream_is_an_incident(
        self, ru: OwnAuthority, be: OwnAuthority
    ) -> None:
        issue(ru, shipments(), Officer())

        async with faulty(be, _with_receipt(be, lambda b: b["stream"].update(have=99))):
            await deliver(ru, "EU-BE")

        assert incidents(ru) == ["stream-fork"]

    async def test_a_rewritten_log_is_found_at_the_next_contact(
        self, ru: OwnAuthority, be: OwnAuthority
    ) -> None:
        issue(ru, shipments(), Officer())
        async with listening(be):
            await deliver(ru, "EU-BE")
        issue(ru, shipments(start=1), Officer())

        held = ru.ledger.read(lambda tx: witness.held(tx, "EU-BE"))
        assert held is not None
        signer = be.signers["log"]
        public = be.keys.keys[signer.kid].raw
        beyond = held.size + 5
        note = sign_checkpoint(be.checkpoints.origin, beyond, bytes(32), public, signer.sign).note

        def rewrite(body: dict[str, Any]) -> None:
            body["log"] = {"checkpoint": note, "from_size": held.size, "consistency": []}
            body["results"][0]["index"] = beyond - 1

        async with faulty(be, _with_receipt(be, rewrite)):
            done = await deliver(ru, "EU-BE")

        assert done.error is not None
        assert "no consistency proof" in done.error
        assert state(ru).acknowledged == 1

    async def test_no_manifest_is_signed_before_the_peer_was_asked_for_the_position(
        self, ru: OwnAuthority, be: OwnAuthority
    ) -> None:
        issue(ru, shipments(), Officer())
        asked = []

        async def handler(request: web.Request) -> web.StreamResponse:
            asked.append((request.method, request.path))
            return web.Response(status=503)

        async with faulty(be, handler), courier(ru, "EU-BE") as worker:
            for _ in range(2):
                assert (await worker.round(heartbeat=True)).error is not None

        assert asked == [("GET", "/kpx/v1/position")] * 2
        assert state(ru).in_flight is None

    async def test_a_peer_that_claims_more_positions_is_an_incident_that_stops_nothing(
        self, ru: OwnAuthority, be: OwnAuthority
    ) -> None:
        issue(ru, shipments(), Officer())
        receiver = _with_receipt(be, lambda body: None)

        async def handler(request: web.Request) -> web.StreamResponse:
            if request.path == "/kpx/v1/position":
                return web.json_response({"received": {"have": 50}, "witnessed": {"size": 900}})
            return await receiver(request)

        async with faulty(be, handler):
            done = await deliver(ru, "EU-BE")

        assert done.delivered == 1
        assert set(incidents(ru)) == {"position-ahead"}

    async def test_a_wrong_inclusion_is_an_incident(
        self, ru: OwnAuthority, be: OwnAuthority
    ) -> None:
        issue(ru, shipments(count=2), Officer())
        async with listening(be):
            await deliver(ru, "EU-BE")
        answer = {"index": 0, "size": 2, "leaf": "A" * 43, "proof": []}

        async def handler(request: web.Request) -> web.StreamResponse:
            if request.path == "/kpx/v1/log/inclusion":
                return web.json_response(answer)
            return web.Response(status=404)

        async with faulty(ru, handler):
            await deliver(be, "RU", heartbeat=False)

        assert incidents(be, "RU") == ["bad-inclusion"]


def _doc_id(line: bytes) -> str:
    from tests.wire import b64, digest

    return b64(digest(line))


def _with_receipt(own: OwnAuthority, change: Callable[[dict[str, Any]], object]) -> Answer:
    """A recipient whose receipts are changed and signed again before they leave (simulated)."""

    async def handler(request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        if request.method == "GET":
            return web.Response(status=404)
        manifest, _, rest = raw.partition(b"\n")
        receiver = Receiver(own)
        receipt = receiver.receive(receiver.open(manifest), rest)
        claims = payload(receipt)
        change(claims["body"])
        again = sign_document(own.signers["msg"], RECEIPT.typ, own.name, claims)
        return web.Response(body=again.raw, content_type="application/jose")

    return handler


class TestRestoredSender:
    async def test_a_checkpoint_the_peer_has_seen_stops_all_signing(
        self, homes: dict[str, Path], clock: SetClock
    ) -> None:
        with open_node(homes["EU-BE"], clock=clock) as be:
            await self.restore_and_deliver(homes, be, clock)

    async def restore_and_deliver(
        self, homes: dict[str, Path], be: OwnAuthority, clock: SetClock
    ) -> None:
        with open_node(homes["RU"], clock=clock) as own:
            issue(own, shipments(), Officer())
        shutil.copy(homes["RU"] / "data" / "node.db", homes["RU"] / "backup.db")
        with open_node(homes["RU"], clock=clock) as own:
            issue(own, shipments(start=1), Officer())
            async with listening(be):
                await deliver(own, "EU-BE")
        for leftover in (homes["RU"] / "data").iterdir():
            leftover.unlink()  # the released checkpoint is lost as well
        shutil.copy(homes["RU"] / "backup.db", homes["RU"] / "data" / "node.db")

        with open_node(homes["RU"], clock=clock) as own:
            issue(own, shipments(start=2), Officer())
            async with listening(be):
                done = await deliver(own, "EU-BE")

                assert done.error is not None
                assert "has left it" in done.error
                assert (await deliver(own, "EU-BE")).delivered == 0


class TestBackOff:
    def test_it_is_full_jitter_up_to_the_cap(self) -> None:
        random = Random(7)

        for attempts in (1, 5, 50, 10_000):
            pauses = [backoff.delay_s(attempts, random) for _ in range(300)]
            assert min(pauses) >= 0
            assert max(pauses) <= min(backoff.CAP_S, 2 ** min(attempts, 20))

    def test_heartbeats_come_every_fifteen_minutes_give_or_take_a_fifth(self) -> None:
        beats = [backoff.heartbeat_s(Random(seed)) for seed in range(300)]

        assert 720 <= min(beats) < 760
        assert 1040 < max(beats) <= 1080


async def test_a_running_courier_delivers_what_is_issued_and_wakes_when_told(
    ru: OwnAuthority, be: OwnAuthority
) -> None:
    import asyncio

    from tests.serving import until

    async with listening(be), courier(ru, "EU-BE") as worker:
        task = asyncio.create_task(worker.run())
        issue(ru, shipments(), Officer())
        worker.wake()

        await until(lambda: state(ru).acknowledged == 1)

        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert ru.ledger.read(lambda tx: streams.sent_place(tx, "EU-BE")).position == 1  # type: ignore[union-attr]


async def test_a_peer_that_calls_and_cannot_be_called_is_not_tried_at_each_call(
    ru: OwnAuthority,
) -> None:
    class Longest(Random):
        def uniform(self, _: float, most: float) -> float:
            return most

    async with courier(ru, "EU-BE") as worker:  # nobody listens there
        worker._random = Longest()
        running = asyncio.create_task(worker.run())
        for _ in range(30):
            worker.wake(hurry=True)
            await asyncio.sleep(0.05)
        running.cancel()

    state = ru.ledger.read(lambda tx: peers.state(tx, "EU-BE"))
    assert state is not None
    assert 1 <= state.attempts <= 4


async def test_a_courier_that_is_stopped_while_it_ends_leaves_no_lease(
    ru: OwnAuthority, be: OwnAuthority
) -> None:
    """A reload stops couriers; the next ones would wait half a minute for what was left behind."""
    async with listening(ru), listening(be), courier(ru, "EU-BE") as worker:
        task = asyncio.create_task(worker.round(heartbeat=True))
        # Its own tasks are the first that are cancelled, when the round has come to its end.
        while not (task.done() or any(t.cancelling() for t in asyncio.all_tasks())):  # noqa: ASYNC110
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    (lease,) = ru.ledger.write(lambda tx: tx.execute("SELECT lease FROM peers").fetchone())
    assert lease is None
