"""More than 150 things a hostile peer may do to a running node: each is refused with its code."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.authority import OwnAuthority
from node.documents import Content
from node.domain import judgement
from node.domain.context import Context
from node.errors import Finding
from node.exchange import quarantine
from node.ids import Authority
from node.ledger import entries, peers
from node.watch.peers import status
from node.web.limits import Limits, Patience
from tests.hostile import Attacker, Case, cases
from tests.nodes import SetClock, make_homes, opened
from tests.serving import listening
from tests.test_kill import serving
from tests.test_ledger import audited

CASES = list(cases())
MAX_GROWTH_KIB = 64 * 1024
"""Bodies of 8 MiB pass through; nothing of them may stay."""


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Attacker, int]]:
    """A node of EU-BE as a process of its own, RU's keys, and the process id."""
    homes = make_homes(tmp_path_factory.mktemp("hostile"), "RU", "EU-BE", "BY")
    with opened(homes, SetClock()) as nodes, serving(homes["EU-BE"]) as process:
        yield Attacker(nodes["RU"], nodes["EU-BE"], nodes["BY"]), process.pid


def resident_kib(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmRSS"))


MEMORY: dict[str, int] = {}


def test_there_are_at_least_150_cases_each_with_its_name() -> None:
    assert len(CASES) >= 150
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
async def test_refused(case: Case, attacked: tuple[Attacker, int]) -> None:
    attacker, pid = attacked

    answer = await case.act(attacker)

    assert (answer.status, answer.code) == (case.status, case.code), answer.body[:300]
    MEMORY.setdefault("first", resident_kib(pid))
    MEMORY["last"] = resident_kib(pid)


async def test_afterwards_memory_is_flat_the_ledger_sound_and_others_are_served(
    attacked: tuple[Attacker, int],
) -> None:
    attacker, _ = attacked
    be = attacker.other

    rows = {row["authority"]: row for row in status(be)["peers"]}

    assert MEMORY["last"] - MEMORY["first"] < MAX_GROWTH_KIB
    assert audited(be).ok
    # The last of its documents alone was good; the rest are receipts of this node.
    accepted = be.ledger.read(lambda tx: [e for e in entries.walk(tx) if e.iss == "RU"])
    assert len(accepted) == 1
    assert rows["RU"]["state"] == "incident"
    assert rows["BY"]["incidents"] == []
    by = Attacker(attacker.third, be, attacker.own)
    assert (await by.send()).status == 200


class TestPatience:
    """Bodies that come drop by drop; the node's patience is a second here, not minutes."""

    async def _drip(self, own: OwnAuthority, url: str, first: bytes) -> int:
        host, port = own.config.node.listen.host, own.config.node.listen.port
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(
            b"POST /kpx/v1/bundles HTTP/1.1\r\nHost: x\r\nContent-Type: application/vnd.kp.bundle"
            b"\r\nContent-Length: 100000\r\n\r\n" + first
        )
        try:
            async with asyncio.timeout(20):
                while True:
                    writer.write(b"A")
                    try:
                        async with asyncio.timeout(0.2):
                            line = await reader.readline()
                    except TimeoutError:
                        continue
                    return int(line.split()[1])
        finally:
            writer.close()

    @pytest.mark.parametrize("first", ["manifest", "nothing"])
    async def test_a_dripping_body_is_given_up(
        self, ru: OwnAuthority, be: OwnAuthority, first: str
    ) -> None:
        limits = Limits(patience=Patience(quiet_s=1, first_line_s=1, body_s=1))
        attacker = Attacker(ru, be, be)
        start = attacker.wire.manifest([])[0] + b"\n" if first == "manifest" else b""
        async with listening(be, limits) as url:
            assert await self._drip(be, url, start) == 400

    async def test_a_peer_that_asks_too_often_is_told_when_to_come_back(
        self, ru: OwnAuthority, be: OwnAuthority
    ) -> None:
        limits, attacker = Limits(clock=lambda: 1.0), Attacker(ru, be, be)  # a clock that stands
        async with listening(be, limits):
            answers = [await attacker.send() for _ in range(201)]

        assert [a.status for a in answers] == [200] * 200 + [429]
        assert answers[-1].code == "too-many-requests"

    async def test_one_peers_share_is_not_used_up_by_another(
        self, tmp_path: Path, clock: SetClock
    ) -> None:
        homes = make_homes(tmp_path / "three", "RU", "EU-BE", "BY")
        with opened(homes, clock) as nodes:
            limits = Limits(clock=lambda: 1.0)
            ru = Attacker(nodes["RU"], nodes["EU-BE"], nodes["BY"])
            by = Attacker(nodes["BY"], nodes["EU-BE"], nodes["RU"])
            async with listening(nodes["EU-BE"], limits):
                for _ in range(201):
                    await ru.send()
                assert (await by.send()).status == 200

    async def test_strangers_are_counted_by_address(
        self, ru: OwnAuthority, be: OwnAuthority
    ) -> None:
        limits = Limits(loopback_too=True)  # all of this test comes from this machine
        host, port = be.config.node.listen.host, be.config.node.listen.port
        head = (
            b"POST /kpx/v1/bundles HTTP/1.1\r\nHost: x\r\n"
            b"Content-Type: application/vnd.kp.bundle\r\nContent-Length: 1000\r\n\r\nA"
        )
        async with listening(be, limits):
            held = [await asyncio.open_connection(host, port) for _ in range(16)]
            for _, writer in held:
                writer.write(head)
            await asyncio.sleep(0.3)
            answer = await Attacker(ru, be, be).send()
            for _, writer in held:
                writer.close()
            await asyncio.sleep(0.3)
            after = await Attacker(ru, be, be).send()

        assert (answer.status, answer.code) == (429, "too-many-requests")
        assert after.status == 200


class TestQuarantine:
    async def test_a_thousand_refused_documents_pause_the_peer_until_an_operator_has_looked(
        self, ru: OwnAuthority, be: OwnAuthority
    ) -> None:
        from node.office import hold_peer

        attacker = Attacker(ru, be, be)
        async with listening(be):
            await attacker.deliver(*(b"refused %d" % n for n in range(999)))
            assert (await attacker.send()).status == 200
            await attacker.deliver(b"one more")
            paused = await attacker.send()
            told = be.ledger.read(lambda tx: peers.incidents(tx, "RU"))
            hold_peer.resume(be, "RU", "their test system, switched off")
            after = await attacker.deliver(b"and another")

        assert (paused.status, paused.code) == (503, "paused")
        assert [i.code for i in told] == ["quarantine-full"]
        assert after[0]["outcome"] == "rejected"

    async def test_beyond_64_mib_only_digest_and_code_are_kept(
        self, ru: OwnAuthority, be: OwnAuthority
    ) -> None:
        attacker = Attacker(ru, be, be)
        async with listening(be):
            for number in range(10):
                size = 250 * 1024
                await attacker.deliver(*(b"%d%d" % (number, n) + b"A" * size for n in range(28)))
        rows = be.ledger.read(
            lambda tx: tx.execute(
                "SELECT count(*) AS n, sum(length(jws)) AS kept, sum(jws IS NULL) AS dropped "
                "FROM quarantine"
            ).fetchone()
        )

        assert rows["n"] == 280
        assert rows["kept"] <= 64 * 1024 * 1024
        assert rows["dropped"] > 0


class TestOwnFaults:
    """A rule that fails, which is simulated: none is known to."""

    @pytest.mark.parametrize("asks_the_ledger", [False, True])
    async def test_one_document_that_cannot_be_judged_blocks_no_other(
        self,
        ru: OwnAuthority,
        be: OwnAuthority,
        monkeypatch: pytest.MonkeyPatch,
        asks_the_ledger: bool,
    ) -> None:
        def fails(document: Content, _: Context) -> Iterator[Finding]:
            if document.body["number"] == "RU00000002":
                raise OverflowError("date value out of range")
            yield from ()

        monkeypatch.setitem(
            judgement.STEPS, "certificate",
            judgement.Steps((fails,), frozenset({fails} if asks_the_ledger else ())),
        )  # fmt: skip
        attacker = Attacker(ru, be, be)
        async with listening(be):
            results = await attacker.deliver(
                *(attacker.certificate({"number": f"RU0000000{n}"}) for n in (1, 2, 3))
            )
            monkeypatch.undo()  # the next version of the node
            mended = quarantine.judge_again(be, Authority("RU"))

        assert [r["outcome"] for r in results] == ["accepted", "rejected", "accepted"]
        assert [e["code"] for e in results[1]["errors"]] == ["not-judged"]
        assert mended == 1


class TestExpect:
    @pytest.mark.parametrize(
        ("header", "status"),
        [
            ("Content-Length: 100", b"100"),
            ("Content-Length: 8388609", b"413"),
            ("Content-Length: 100\r\nContent-Encoding: gzip", b"415"),
        ],
    )
    async def test_a_body_is_asked_for_only_where_the_headers_are_good(
        self, ru: OwnAuthority, be: OwnAuthority, header: str, status: bytes
    ) -> None:
        async with listening(be):
            host, port = be.config.node.listen.host, be.config.node.listen.port
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(
                b"POST /kpx/v1/bundles HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
                b"Content-Type: application/vnd.kp.bundle\r\n" + header.encode() + b"\r\n\r\n"
            )
            line = await reader.readline()
            writer.close()
            await writer.wait_closed()

        assert line.split()[1] == status
