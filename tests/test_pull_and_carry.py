"""Peers that cannot be called, and files on sticks: the same stream, the same checks."""

import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from node.authority import OwnAuthority
from node.errors import ProblemError, RefusedError
from node.exchange import carry, tokens
from node.exchange.send import PROVEN_DOCUMENTS, Sender
from node.ids import Authority
from node.ledger import entries, peers, streams, transport
from node.office.confirm import confirm
from node.office.issue import issue
from node.office.officer import Officer
from node.office.verify import verify_file
from tests.nodes import SetClock, make_homes, opened, set_mode, shipments
from tests.pairs import deliver_one
from tests.serving import deliver, faulty, listening
from tests.test_exchange import certificate, incidents, state
from tests.test_ledger import audited
from tests.wire import payload

RU, BE = Authority("RU"), Authority("EU-BE")


def agree(ru: OwnAuthority, be: OwnAuthority) -> None:
    """Both sides have the same streams, each has witnessed the other's log, and both audits hold."""
    for one, other, here, there in ((ru, be, RU, BE), (be, ru, BE, RU)):
        sent = one.ledger.read(lambda tx, peer=there: streams.sent_place(tx, peer))
        received = other.ledger.read(lambda tx, peer=here: streams.received_place(tx, peer))
        assert sent == received
        assert sent is not None
        assert state(one, there).acknowledged == sent.position
        assert incidents(one, there) == []
        assert audited(one).ok


class TestPull:
    """EU-BE has no public address: it calls RU for both directions."""

    @pytest.fixture(autouse=True)
    def modes(self, ru: OwnAuthority, be: OwnAuthority) -> None:
        set_mode(ru, "EU-BE", "pull", url=False)
        set_mode(be, "RU", "pull")

    @pytest.fixture
    async def served(self, ru: OwnAuthority) -> AsyncIterator[str]:
        async with listening(ru) as url:
            yield url

    async def test_what_waits_is_fetched_and_acknowledged(
        self, ru: OwnAuthority, be: OwnAuthority, served: str
    ) -> None:
        issue(ru, shipments(count=3), Officer())

        done = await deliver(be, "RU", heartbeat=False)

        assert (done.fetched, done.error) == (3, None)
        assert certificate(ru, "RU00010118").state == "delivered"
        assert certificate(be, "RU00010118").state == "announced"
        agree(ru, be)

    async def test_both_directions_go_by_the_callers_rounds(
        self, ru: OwnAuthority, be: OwnAuthority, served: str
    ) -> None:
        issue(ru, shipments(), Officer())
        await deliver(be, "RU", heartbeat=False)
        confirm(be, ["RU00010118"], Officer())

        done = await deliver(be, "RU", heartbeat=False)

        assert (done.delivered, done.error) == (1, None)
        assert certificate(ru, "RU00010118").state == "confirmed"
        agree(ru, be)

    async def test_nothing_waiting_is_no_bundle_unless_a_heartbeat_is_due(
        self, ru: OwnAuthority, be: OwnAuthority, served: str
    ) -> None:
        await deliver(be, "RU", heartbeat=False)
        assert state(ru).last_out is None

        await deliver(be, "RU", heartbeat=True)

        assert state(ru).last_out == ru.now_s()

    async def test_a_lost_receipt_is_posted_again_byte_for_byte(
        self, ru: OwnAuthority, be: OwnAuthority
    ) -> None:
        """Simulated: RU's answers to bundles come, its side of the receipts does not."""
        issue(ru, shipments(count=2), Officer())
        posted: list[bytes] = []

        async def lossy(request: web.Request) -> web.StreamResponse:
            if request.path == "/kpx/v1/receipts":
                posted.append(await request.read())
                return web.Response(status=503)
            return await _relay(request, ru)

        async with faulty(ru, lossy):
            done = await deliver(be, "RU", heartbeat=False)
        assert done.error is not None
        size = be.ledger.read(entries.size)

        async with listening(ru):
            done = await deliver(be, "RU", heartbeat=False)

        assert done.error is None
        assert be.ledger.read(entries.size) == size, "the same receipt, not another one"
        held = ru.ledger.read(
            lambda tx: tx.execute("SELECT jws FROM receipts WHERE direction = 'held'").fetchall()
        )
        assert [bytes(row["jws"]) for row in held] == posted
        agree(ru, be)

    async def test_pull_and_push_share_one_stream_without_gap_or_duplicate(
        self, ru: OwnAuthority, be: OwnAuthority
    ) -> None:
        numbers = [s["number"] for s in shipments(count=4)]
        for start in range(4):
            issue(ru, shipments(start=start), Officer())
            if start % 2:
                deliver_one(ru, be, lambda step: step == "request")  # the reply is lost
            async with listening(ru):
                await deliver(be, "RU", heartbeat=False)

        held = be.ledger.read(lambda tx: _numbers(tx))

        assert held == sorted(numbers)
        agree(ru, be)

    async def test_a_caller_restored_to_an_older_state_gets_it_all_again(
        self, homes: dict[str, Path], clock: SetClock, tmp_path: Path
    ) -> None:
        kept = tmp_path / "kept"
        with opened(homes, clock) as nodes:
            async with listening(nodes["RU"]):
                await deliver(nodes["EU-BE"], "RU", heartbeat=True)
        shutil.copytree(homes["EU-BE"], kept)
        with opened(homes, clock) as nodes:
            issue(nodes["RU"], shipments(count=3), Officer())
            async with listening(nodes["RU"]):
                await deliver(nodes["EU-BE"], "RU", heartbeat=False)
        shutil.rmtree(homes["EU-BE"])
        shutil.copytree(kept, homes["EU-BE"])
        clock.advance(seconds=1)

        with opened(homes, clock) as nodes:
            async with listening(nodes["RU"]):
                done = await deliver(nodes["EU-BE"], "RU", heartbeat=True)

        assert done.error is not None
        assert "old copy" in done.error  # it signs nothing; see tests/test_recovery.py

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("?after=1", (400, "bad-request")),
            ("?after=-1", (400, "bad-request")),
            ("?after=0&limit=x", (400, "bad-request")),
            ("?before=1", (400, "bad-request")),
            ("?after=0&after=0", (400, "bad-request")),
            ("", (200, None)),
            ("?after=0", (200, None)),
            ("?limit=0", (200, None)),
            ("?limit=99999", (200, None)),
        ],
    )
    async def test_the_question_is_judged(
        self, be: OwnAuthority, served: str, query: str, expected: tuple[int, str | None]
    ) -> None:
        status, body = await _get(be, served, f"/kpx/v1/bundles{query}")

        code = json.loads(body)["code"] if status != 200 else None
        assert (status, code) == expected

    async def test_a_limit_is_kept_and_the_rest_follows(
        self, ru: OwnAuthority, be: OwnAuthority, served: str
    ) -> None:
        issue(ru, shipments(count=5), Officer())

        _, first = await _get(be, served, "/kpx/v1/bundles?after=0&limit=2")
        _, again = await _get(be, served, "/kpx/v1/bundles?after=0&limit=2")
        _, rest = await _get(be, served, "/kpx/v1/bundles?after=2&limit=1000")

        assert first == again
        assert payload(first.split(b"\n")[0])["body"]["stream"]["last"] == 2
        assert payload(rest.split(b"\n")[0])["body"]["stream"]["first"] == 3
        assert payload(rest.split(b"\n")[0])["body"]["stream"]["last"] == 5

    async def test_the_receipt_of_another_pair_is_no_receipt(
        self, tmp_path: Path, clock: SetClock
    ) -> None:
        homes = make_homes(tmp_path / "three", "RU", "EU-BE", "BY")
        with opened(homes, clock) as nodes:
            issue(nodes["RU"], shipments(), Officer())
            made = Sender(nodes["RU"]).pulled(BE, 0, 1)
            assert made is not None
            stolen = carry.take_in(nodes["EU-BE"], made.raw)
            forged = dict(payload(stolen.answer or b""), iss="BY")
            from node.domain.kinds import RECEIPT

            raw = nodes["BY"].seal(RECEIPT, forged).raw
            async with listening(nodes["RU"]) as url, aiohttp.ClientSession() as http:
                header = {"Content-Type": "application/jose"}
                async with http.post(f"{url}/kpx/v1/receipts", data=raw, headers=header) as answer:
                    code = (await answer.json(content_type=None))["code"]

        assert (answer.status, code) == (404, "not-found")


class TestCarry:
    """Nothing but files passes between the two."""

    def carry(self, sender: OwnAuthority, receiver: OwnAuthority) -> carry.TakenIn:
        """A file there, its receipt back."""
        taken = carry.take_in(receiver, carry.make(sender, Authority(receiver.name)).raw)
        assert taken.answer is not None
        back = carry.take_in(sender, taken.answer)
        assert back.kind == "receipt"
        return taken

    def test_documents_go_there_and_the_receipt_comes_back(
        self, ru: OwnAuthority, be: OwnAuthority
    ) -> None:
        issue(ru, shipments(count=3), Officer())

        taken = self.carry(ru, be)

        assert [r["outcome"] for r in taken.results] == ["accepted"] * 3
        assert certificate(ru, "RU00010118").state == "delivered"
        confirm(be, ["RU00010118"], Officer())
        self.carry(be, ru)
        assert certificate(ru, "RU00010118").state == "confirmed"
        agree(ru, be)

    def test_a_carried_bundle_brings_inclusion_proofs_and_needs_no_question(
        self, ru: OwnAuthority, be: OwnAuthority
    ) -> None:
        issue(ru, shipments(count=3), Officer())
        made = carry.make(ru, BE)

        proofs = payload(made.raw.split(b"\n")[0])["body"]["proofs"]
        carry.take_in(be, made.raw)

        assert [item["index"] for item in proofs] == [0, 1, 2]
        assert be.ledger.read(lambda tx: tx.execute("SELECT * FROM spot_checks").fetchall()) == []

    def test_a_wrong_inclusion_proof_refuses_the_bundle(
        self, ru: OwnAuthority, be: OwnAuthority
    ) -> None:
        issue(ru, shipments(count=3), Officer())
        made = carry.make(ru, BE)
        lines = made.raw.split(b"\n")
        claims = payload(lines[0])
        claims["body"]["proofs"][1]["proof"] = claims["body"]["proofs"][0]["proof"]
        from node.domain.kinds import MANIFEST

        forged = b"\n".join([ru.seal(MANIFEST, claims).raw, *lines[1:]])

        with pytest.raises(ProblemError, match="inclusion") as refused:
            carry.take_in(be, forged)

        assert refused.value.code == "bad-proof"
        assert be.ledger.read(entries.size) == 0

    def test_a_stick_that_makes_the_round_twice_changes_nothing(
        self, ru: OwnAuthority, be: OwnAuthority
    ) -> None:
        issue(ru, shipments(count=2), Officer())
        made = carry.make(ru, BE)
        first = carry.take_in(be, made.raw)
        carry.take_in(ru, first.answer or b"")
        sizes = [own.ledger.read(entries.size) for own in (ru, be)]

        again = carry.take_in(be, made.raw)
        carry.take_in(ru, again.answer or b"")

        assert again.answer == first.answer
        assert [own.ledger.read(entries.size) for own in (ru, be)] == sizes
        agree(ru, be)

    def test_the_same_is_exported_until_the_receipt_is_back(self, ru: OwnAuthority) -> None:
        issue(ru, shipments(count=2), Officer())

        first = carry.make(ru, BE)
        second = carry.make(ru, BE)
        issue(ru, shipments(start=2), Officer())
        third = carry.make(ru, BE)

        assert first == second
        assert third.count == 3

    def test_a_stick_overtaken_by_push_changes_nothing(
        self, ru: OwnAuthority, be: OwnAuthority
    ) -> None:
        issue(ru, shipments(count=2), Officer())
        stick = carry.make(ru, BE)
        issue(ru, shipments(start=2), Officer())
        ru.ledger.write(lambda tx: peers.update(tx, "EU-BE", in_flight=None))
        while deliver_one(ru, be, lambda _: True):
            pass
        assert state(ru).acknowledged == 3

        with pytest.raises(ProblemError) as refused:
            carry.take_in(be, stick.raw)

        assert refused.value.code == "proof-needed"  # it shows a smaller log than the one held
        again = carry.make(ru, BE)
        assert again.count == 0
        agree(ru, be)

    def test_a_heartbeat_file_shows_the_log_where_nothing_waits(
        self, ru: OwnAuthority, be: OwnAuthority
    ) -> None:
        taken = self.carry(ru, be)

        assert taken.results == []
        assert state(ru).last_out == ru.now_s()

    def test_many_documents_go_in_one_file_and_are_asked_for_one_by_one_later(
        self, ru: OwnAuthority, be: OwnAuthority
    ) -> None:
        template = shipments()[0]
        many = [dict(template, number=f"RU{70000000 + n}") for n in range(PROVEN_DOCUMENTS + 5)]
        issue(ru, many, Officer())

        made = carry.make(ru, BE)
        taken = carry.take_in(be, made.raw)
        carry.take_in(ru, taken.answer or b"")

        assert made.count == PROVEN_DOCUMENTS + 5
        assert "proofs" not in payload(made.raw.split(b"\n")[0])["body"]
        assert be.ledger.read(lambda tx: transport.wanted_spot_check(tx, "RU"))
        agree(ru, be)

    def test_files_that_cross_both_count(self, ru: OwnAuthority, be: OwnAuthority) -> None:
        """Both export before either imports; the receipts cross as well, and so does the next pair."""
        for step in range(3):
            issue(ru, shipments(start=step), Officer())
            to_be, to_ru = carry.make(ru, BE), carry.make(be, RU)
            at_be, at_ru = carry.take_in(be, to_be.raw), carry.take_in(ru, to_ru.raw)
            if step < 2:
                confirm(be, [shipments(start=step)[0]["number"]], Officer())

            carry.take_in(ru, at_be.answer or b"")
            carry.take_in(be, at_ru.answer or b"")

            assert state(ru).acknowledged == step + 1
            assert carry.take_in(be, to_be.raw).answer == at_be.answer
        self.carry(be, ru)
        agree(ru, be)

    def test_a_receipt_with_its_bridge_is_verified_as_two_documents(
        self, ru: OwnAuthority, be: OwnAuthority
    ) -> None:
        issue(ru, shipments(), Officer())
        to_be = carry.make(ru, BE)
        carry.make(be, RU)
        confirm_first = carry.take_in(be, to_be.raw).answer or b""

        ring = {**ru.book.ring, ru.name: ru.keys}
        found = verify_file(confirm_first, ring, ru.context())

        assert [one.kind for one in found] in (["receipt"], ["receipt", "manifest"])
        assert all(one.good for one in found)

    def test_a_file_that_skips_one_is_not_taken_in_and_says_so(
        self, ru: OwnAuthority, be: OwnAuthority
    ) -> None:
        issue(ru, shipments(count=2), Officer())
        made = Sender(ru).pulled(BE, 1, 1)
        assert made is not None

        taken = carry.take_in(be, made.raw)

        assert taken.problem is not None
        assert taken.problem.code == "gap"
        assert be.ledger.read(entries.size) == 0

    def test_a_second_stick_before_the_first_receipt_follows_the_first(
        self, ru: OwnAuthority, be: OwnAuthority
    ) -> None:
        issue(ru, shipments(), Officer())
        first = carry.make(ru, BE)
        issue(ru, shipments(start=1), Officer())
        second = carry.make(ru, BE)

        carry.take_in(be, first.raw)
        taken = carry.take_in(be, second.raw)

        assert [r["outcome"] for r in taken.results] == ["duplicate", "accepted"]
        carry.take_in(ru, taken.answer or b"")
        agree(ru, be)

    def test_where_the_first_stick_was_lost_the_importer_says_where_to_start(
        self, ru: OwnAuthority, be: OwnAuthority
    ) -> None:
        issue(ru, shipments(), Officer())
        carry.make(ru, BE)
        issue(ru, shipments(start=1), Officer())
        second = carry.make(ru, BE)

        with pytest.raises(ProblemError) as refused:
            carry.take_in(be, second.raw)
        held = refused.value.members["held"]["size"]
        third = carry.make(ru, BE, held)
        taken = carry.take_in(be, third.raw)

        assert (refused.value.code, held) == ("proof-needed", 0)
        assert [r["outcome"] for r in taken.results] == ["accepted", "accepted"]
        carry.take_in(ru, taken.answer or b"")
        agree(ru, be)

    def test_a_file_of_a_stranger_is_of_an_unknown_issuer(
        self, ru: OwnAuthority, tmp_path: Path, clock: SetClock
    ) -> None:
        with opened(make_homes(tmp_path / "others", "EU-BE", "BY"), clock) as others:
            made = carry.make(others["EU-BE"], Authority("BY"))
            with pytest.raises(ProblemError) as known_name:
                carry.take_in(ru, made.raw)
            made = carry.make(others["BY"], Authority("EU-BE"))
            with pytest.raises(RefusedError) as stranger:
                carry.take_in(ru, made.raw)

        assert known_name.value.code == "bad-signature"
        assert stranger.value.code == "unknown-issuer"

    @pytest.mark.parametrize(
        "raw", [b"", b"\n", b"a.b.c", b"a.b.c\n", b"\x00" * 100, b"{}\n", "é.é.é\n".encode()]
    )
    def test_what_is_no_bundle_changes_nothing(self, be: OwnAuthority, raw: bytes) -> None:
        with pytest.raises((ProblemError, RefusedError)):
            carry.take_in(be, raw)

        assert be.ledger.read(entries.size) == 0

    def test_a_file_that_lost_its_end_is_malformed_and_changes_nothing(
        self, ru: OwnAuthority, be: OwnAuthority
    ) -> None:
        issue(ru, shipments(count=2), Officer())
        made = carry.make(ru, BE)

        for length in range(1, len(made.raw), 97):
            with pytest.raises((ProblemError, RefusedError)):
                carry.take_in(be, made.raw[:length])

        assert be.ledger.read(entries.size) == 0

    def test_a_fork_on_a_stick_is_answered_with_a_statement_that_stops_the_sender(
        self, ru: OwnAuthority, be: OwnAuthority, homes: dict[str, Path], clock: SetClock
    ) -> None:
        issue(ru, shipments(), Officer())
        first = carry.make(ru, BE)
        taken = carry.take_in(be, first.raw)
        ru.ledger.write(lambda tx: _another_history(ru, tx))
        ru.ledger.write(lambda tx: peers.update(tx, "EU-BE", in_flight=None))
        forked = carry.make(ru, BE, first.count)

        answered = carry.take_in(be, forked.raw)

        assert taken.answer is not None
        assert answered.problem is not None
        assert answered.problem.code == "stream-fork"
        stated = carry.take_in(ru, answered.answer or b"")
        assert (stated.kind, stated.problem and stated.problem.code) == ("statement", "stream-fork")
        assert incidents(ru) == ["stream-fork"]
        assert incidents(be, "RU") == ["stream-fork"]
        with pytest.raises(ProblemError, match="incident"):
            carry.make(ru, BE)


def _another_history(own: OwnAuthority, tx: Any) -> None:
    """The sender's stream forgets what it sent, as an old copy would (simulated)."""
    from node.domain.kinds import CERTIFICATE
    from node.ledger.migrations import append_only
    from tests.test_exchange import payload_of_example

    tx.execute("DROP TRIGGER stream_out_no_delete")
    tx.execute("DELETE FROM stream_out")
    append_only(tx, "stream_out", "DELETE")
    body = payload_of_example() | {"number": "RU00099999"}
    signed = own.sign(CERTIFICATE, ["EU-BE"], body, iat=own.now_s())
    own.publish(tx, [signed], own.now_s())


def _numbers(tx: Any) -> list[str]:
    rows = tx.execute("SELECT number FROM certificates ORDER BY number").fetchall()
    return [row["number"] for row in rows]


async def _get(own: OwnAuthority, url: str, target: str) -> tuple[int, bytes]:
    header = {"Authorization": tokens.make(own, "RU", target)}
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{url}{target}", headers=header) as answer,
    ):
        return answer.status, await answer.read()


async def _relay(request: web.Request, own: OwnAuthority) -> web.StreamResponse:
    """Answer as the node would, from its own handlers."""
    from aiohttp.test_utils import TestClient, TestServer

    from node.web import peer_listener

    app = peer_listener.application(own, lambda _: None)
    async with TestClient(TestServer(app)) as client:
        answer = await client.request(
            request.method, request.raw_path, headers={
                k: v for k, v in request.headers.items() if k in ("Authorization", "Content-Type")
            }, data=await request.read() or None,
        )  # fmt: skip
        return web.Response(
            status=answer.status, body=await answer.read(), content_type=answer.content_type
        )
