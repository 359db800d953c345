"""Backups, restores, lost entries, new keys: each is an incident with its evidence, and has a way out."""

import json
import os
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from node.authority import OwnAuthority
from node.errors import ConfigError, LogBehindError, ProblemError
from node.exchange import carry
from node.exchange.dispatch import Dispatch
from node.exchange.send import Sender
from node.ids import Authority
from node.incidents import INCIDENTS
from node.ledger import certificates, entries, peers, streams, succession, witness
from node.office import hold_peer
from node.office.confirm import confirm
from node.office.issue import issue
from node.office.officer import Officer
from node.office.resume_log import resume_log
from node.wiring import open_node
from tests.nodes import SetClock, kpnode, make_homes, mined_here, opened, set_mode, shipments
from tests.serving import deliver, listening, until
from tests.test_cli import run
from tests.test_exchange import certificate, incidents, state
from tests.test_ledger import audited

RU, BE = Authority("RU"), Authority("EU-BE")


@contextmanager
def pair(homes: dict[str, Path], clock: SetClock) -> Iterator[tuple[OwnAuthority, OwnAuthority]]:
    clock.advance(seconds=5)
    with opened(homes, clock) as nodes:
        yield nodes["RU"], nodes["EU-BE"]


async def exchange(ru: OwnAuthority, be: OwnAuthority) -> list[str | None]:
    """A round each way over real HTTP."""
    async with listening(ru), listening(be):
        return [(await deliver(ru, "EU-BE")).error, (await deliver(be, "RU")).error]


def begin_successor(home: Path, clock: SetClock) -> None:
    with open_node(home, clock=clock, alone=True) as own:
        resume_log(own, "drill", Officer(), new_log=True)


async def lose(homes: dict[str, Path], clock: SetClock, folder: Path, *, machine: bool) -> None:
    """RU issues 2, then 3 more that are lost with its disk; the database, or the whole machine, is
    put back as it was before those."""
    with pair(homes, clock) as (ru, be):
        issue(ru, shipments(count=2), Officer())
        assert await exchange(ru, be) == [None, None]
        confirm(be, ["RU00010118"], Officer())
        assert await exchange(ru, be) == [None, None]
    what = homes["RU"] if machine else homes["RU"] / "data" / "node.db"
    kept = folder / "kept"
    shutil.copytree(what, kept) if machine else shutil.copy(what, kept)
    with pair(homes, clock) as (ru, be):
        issue(ru, shipments(start=2, count=3), Officer())
        confirm(be, ["RU00010119"], Officer())
        assert await exchange(ru, be) == [None, None]
    if machine:
        shutil.rmtree(what)
        shutil.copytree(kept, what)
    else:
        shutil.copy(kept, what)


class TestLostEntries:
    @pytest.mark.parametrize("machine", [False, True], ids=["database", "snapshot"])
    async def test_a_node_that_lost_entries_begins_a_successor_log_and_all_goes_on(
        self, homes: dict[str, Path], clock: SetClock, tmp_path: Path, machine: bool
    ) -> None:
        await lose(homes, clock, tmp_path, machine=machine)

        # It notices by itself: at once by the file beside the ledger, or from what the peer holds.
        with pair(homes, clock) as (ru, be):
            stopped, _ = await exchange(ru, be)
            with pytest.raises(LogBehindError):
                issue(ru, shipments(start=5), Officer())
            told = ru.ledger.read(lambda tx: peers.incidents(tx, "EU-BE"))
        assert stopped is not None
        assert "ledger resume" in stopped
        if machine:
            assert [i.code for i in told] == ["position-ahead"]
            assert told[0].evidence["position"]["witnessed"]["note"]
            assert told[0].evidence["own"]

        kpnode("--home", str(homes["RU"]), "ledger", "resume", "--because", "disk lost")

        with pair(homes, clock) as (ru, be):
            assert ru.checkpoints.origin == "kpx-sandbox/RU/2"
            (announced,) = be_announcements(ru)
            assert announced["because"] == "disk lost"
            issue(ru, [dict(shipments(start=5)[0], number="RU00077777")], Officer())
            for _ in range(3):
                errors = await exchange(ru, be)
            assert errors == [None, None]
            # The lost documents are at the peer, what the peer sent is here again.
            assert certificate(be, "RU00010122").state == "announced"
            assert certificate(be, "RU00077777").state == "announced"
            assert certificate(ru, "RU00010118").state == "confirmed"
            assert certificate(ru, "RU00010119").state == "confirmed"
            assert incidents(ru) == []
            assert incidents(be, "RU") == ["log-succeeded"]
            evidence = be.ledger.read(lambda tx: peers.incidents(tx, "RU"))[0].evidence
            assert evidence["held"].startswith("kpx-sandbox/RU\n")
            assert evidence["announced"]["predecessor"].startswith("kpx-sandbox/RU\n")
            for one, other, here, there in ((ru, be, RU, BE), (be, ru, BE, RU)):
                sent = one.ledger.read(lambda tx, p=there: streams.sent_place(tx, p))
                assert sent == other.ledger.read(lambda tx, p=here: streams.received_place(tx, p))
                held = one.ledger.read(lambda tx, p=there: witness.held(tx, p))
                assert held is not None
                assert held.root == other.ledger.read(lambda tx, n=held.size: entries.root(tx, n))
                assert audited(one).ok, audited(one).problems
            hold_peer.resume(be, "RU", "talked to Moscow")
            assert incidents(be, "RU") == []

    async def test_the_newest_database_brought_back_needs_no_resume(
        self, homes: dict[str, Path], clock: SetClock, tmp_path: Path
    ) -> None:
        newest = tmp_path / "newest"
        with pair(homes, clock) as (ru, be):
            issue(ru, shipments(), Officer())
            await exchange(ru, be)
        shutil.copytree(homes["RU"] / "data", newest)
        with pair(homes, clock) as (ru, be):
            pass
        (homes["RU"] / "data" / "node.db").unlink()
        shutil.copy(newest / "node.db", homes["RU"] / "data" / "node.db")

        with pair(homes, clock) as (ru, be):
            assert await exchange(ru, be) == [None, None]

    async def test_the_former_log_stays_in_the_file_as_it_was(
        self, homes: dict[str, Path], clock: SetClock, tmp_path: Path
    ) -> None:
        await lose(homes, clock, tmp_path, machine=False)
        with open_node(homes["RU"], clock=clock) as ru:
            before = ru.ledger.read(
                lambda tx: [tuple(r) for r in tx.execute("SELECT * FROM nodes")]
            )

        with open_node(homes["RU"], clock=clock, alone=True) as ru:
            resume_log(ru, "disk lost", Officer(), new_log=False)

        with open_node(homes["RU"], clock=clock) as ru:
            kept = ru.ledger.read(
                lambda tx: [tuple(r) for r in tx.execute("SELECT * FROM nodes_of_log_1")]
            )
            assert kept == before
            with pytest.raises(Exception, match="append-only"):
                ru.ledger.write(lambda tx: tx.execute("DELETE FROM nodes_of_log_1"))
            assert audited(ru).ok

    async def test_a_healthy_node_has_nothing_to_resume(
        self, homes: dict[str, Path], clock: SetClock
    ) -> None:
        with (
            open_node(homes["RU"], clock=clock, alone=True) as ru,
            pytest.raises(ConfigError) as refused,
        ):
            resume_log(ru, "for fun", Officer(), new_log=False)

        assert refused.value.code == "nothing-to-resume"

    @pytest.mark.parametrize("reason", ["", "  ", "two\nlines", "x" * 501, " outer "])
    def test_a_reason_is_a_line_of_text(
        self, homes: dict[str, Path], clock: SetClock, reason: str
    ) -> None:
        with open_node(homes["RU"], clock=clock, alone=True) as ru:
            with pytest.raises(Exception, match=r"reason|because|schema"):
                resume_log(ru, reason, Officer(), new_log=True)
            assert ru.ledger.read(succession.number) == 1
            assert ru.checkpoints.origin == "kpx-sandbox/RU"

    async def test_a_log_that_nobody_announced_is_refused(
        self, homes: dict[str, Path], clock: SetClock
    ) -> None:
        with pair(homes, clock) as (ru, be):
            await exchange(ru, be)
            ru.checkpoints.succeed(2)  # simulated: signs so without a document
            ru.ledger.write(lambda tx: tx.execute("DROP TRIGGER checkpoints_no_delete"))
            ru.ledger.write(lambda tx: tx.execute("DELETE FROM checkpoints"))
            ru.ledger.write(lambda tx: peers.update(tx, "EU-BE", in_flight=None))
            issue(ru, shipments(), Officer())

            (error, _) = await exchange(ru, be)

        assert error is not None
        assert "has not announced kpx-sandbox/RU/2" in error

    async def test_files_alone_are_enough_to_go_on(
        self, homes: dict[str, Path], clock: SetClock, tmp_path: Path
    ) -> None:
        """Carry mode: the signed statement of the fork says where the stream goes on."""
        await lose(homes, clock, tmp_path, machine=False)
        with open_node(homes["RU"], clock=clock, alone=True) as ru:
            resume_log(ru, "disk lost", Officer(), new_log=False)

        with pair(homes, clock) as (ru, be):
            first = carry.make(ru, BE)
            forked = carry.take_in(be, first.raw)
            assert forked.problem is not None
            carry.take_in(ru, forked.answer or b"")
            second = carry.make(ru, BE)
            taken = carry.take_in(be, second.raw)
            carry.take_in(ru, taken.answer or b"")

            assert [r["outcome"] for r in taken.results] == ["accepted"]
            assert state(ru).acknowledged == second.first
            assert incidents(ru) == []

    @pytest.mark.parametrize("by_file", [True, False])
    async def test_a_peer_that_comes_later_is_told_before_anything_else(
        self, homes: dict[str, Path], clock: SetClock, by_file: bool
    ) -> None:
        settings = homes["RU"] / "peers.toml"
        with_be = settings.read_text("utf-8")
        settings.write_text(with_be[: with_be.index("[[peer]]")], "utf-8")
        kpnode("--home", str(homes["RU"]), "ledger", "resume", "--new-log", "--because", "drill")
        settings.write_text(with_be, "utf-8")

        with pair(homes, clock) as (ru, be):
            issue(ru, shipments(), Officer())
            if by_file:
                taken = carry.take_in(be, carry.make(ru, BE).raw)
                carry.take_in(ru, taken.answer or b"")
            assert await exchange(ru, be) == [None, None]
            confirm(be, ["RU00010118"], Officer())
            assert await exchange(ru, be) == [None, None]

            assert len(be_announcements(be)) == 1
            assert certificate(ru, "RU00010118").state == "confirmed"
            assert incidents(ru) == []
            assert incidents(be, "RU") == []

    @pytest.mark.parametrize(("before", "batch"), [(0, 1), (1, 1), (0, 500)])
    async def test_the_announcement_goes_before_all_that_waits(
        self, homes: dict[str, Path], clock: SetClock, before: int, batch: int
    ) -> None:
        """However little a weak link takes, and however much waits: 1,001 documents."""
        template = shipments()[0]
        waiting = 1001 if batch > 1 else 3
        with pair(homes, clock) as (ru, be):
            if before:
                issue(ru, shipments(start=1), Officer())
                assert await exchange(ru, be) == [None, None]
            lot = [dict(template, number=f"RU{80000000 + n}") for n in range(waiting)]
            issue(ru, lot, Officer())
            ru.ledger.write(lambda tx: peers.update(tx, "EU-BE", batch=batch))
            if before:  # one of them was offered, and is not acknowledged
                assert Sender(ru).next_bundle(BE, heartbeat=False)
        begin_successor(homes["RU"], clock)

        with pair(homes, clock) as (ru, be):
            async with listening(be):
                while (sent := state(ru)).acknowledged < before + waiting + 1:
                    assert (await deliver(ru, "EU-BE")).error is None
                    assert state(ru).acknowledged > sent.acknowledged
            assert holds(be, "RU80000000")
            assert incidents(be, "RU") == (["log-succeeded"] if before else [])
            assert audited(ru).ok

    async def test_who_fetches_at_most_one_document_gets_the_announcement(
        self, homes: dict[str, Path], clock: SetClock
    ) -> None:
        begin_successor(homes["RU"], clock)
        with pair(homes, clock) as (ru, be):
            issue(ru, shipments(), Officer())
            made = Sender(ru).pulled(BE, None, 1)
            assert made is not None
            assert (made.first, made.count) == (1, 1)
            taken = carry.take_in(be, made.raw)

            assert [r["outcome"] for r in taken.results] == ["accepted"]
            assert len(be_announcements(be)) == 1

    async def test_who_fetches_from_a_newcomer_is_acknowledged_in_the_same_round(
        self, homes: dict[str, Path], clock: SetClock
    ) -> None:
        begin_successor(homes["RU"], clock)
        with pair(homes, clock) as (ru, be):
            set_mode(ru, "EU-BE", "pull")
            issue(be, mined_here(), Officer())
            async with listening(be):
                done = await deliver(ru, "EU-BE")

            assert done.error is None
            assert state(be, "RU").acknowledged == 1

    @pytest.mark.parametrize("heard_first", [True, False])
    async def test_what_was_answered_before_the_log_ended_still_is(
        self, homes: dict[str, Path], clock: SetClock, heard_first: bool
    ) -> None:
        """The receipt is lost on its way; by the next try EU-BE has another log."""
        with pair(homes, clock) as (ru, be):
            assert await exchange(ru, be) == [None, None]
            issue(ru, shipments(), Officer())
            sent = carry.make(ru, BE)
            answer = carry.take_in(be, sent.raw).answer
        with open_node(homes["EU-BE"], clock=clock, alone=True) as be:
            resume_log(be, "drill", Officer(), new_log=True)

        with pair(homes, clock) as (ru, be):
            assert carry.take_in(be, sent.raw).answer == answer
            if heard_first:
                async with listening(ru):
                    assert (await deliver(be, "RU")).error is None
            for _ in range(2):
                assert await exchange(ru, be) == [None, None]

            assert certificate(ru, "RU00010118").state == "delivered"
            assert certificate(be, "RU00010118").state == "announced"


def holds(own: OwnAuthority, number: str) -> bool:
    return own.ledger.read(lambda tx: certificates.by_number(tx, number)) is not None


def be_announcements(own: OwnAuthority) -> list[dict[str, Any]]:
    rows = own.ledger.read(
        lambda tx: tx.execute(
            "SELECT jws FROM documents WHERE typ = 'vnd.kp.succession.v1+jwt'"
        ).fetchall()
    )
    return [dict(entries.claims(bytes(row["jws"]))["body"]) for row in rows]


class TestRewrittenLog:
    async def test_a_rewritten_log_is_caught_at_the_next_contact_with_both_pieces_of_evidence(
        self, homes: dict[str, Path], clock: SetClock, tmp_path: Path
    ) -> None:
        """A node that hides its loss: everything that could remember is put back or removed."""
        await lose(homes, clock, tmp_path, machine=True)
        with pair(homes, clock) as (ru, be):
            issue(
                ru,
                [dict(s, number=f"RU0007777{n}") for n, s in enumerate(shipments(count=5))],
                Officer(),
            )
            async with listening(be):
                # Simulated: the rewriting node does not ask its peer for the position.
                ru.checkpoints.contradict = lambda _: None  # type: ignore[method-assign]
                ru.ledger.write(lambda tx: peers.update(tx, "EU-BE", proven_size=8, in_flight=None))
                done = await _push_blindly(ru)
            told = be.ledger.read(lambda tx: peers.incidents(tx, "RU"))

        assert "fork" in str(done.error)
        assert {i.code for i in told} <= {"log-fork", "stream-fork"}
        assert told
        assert told[0].evidence["manifest"]


async def _push_blindly(own: OwnAuthority) -> Any:
    from tests.serving import courier

    async with courier(own, "EU-BE") as worker:
        worker._pusher.greeted = True
        return await worker.round(heartbeat=False)


class TestBackup:
    async def test_a_backup_of_a_running_node_is_verified_and_restored(
        self, homes: dict[str, Path], clock: SetClock, tmp_path: Path
    ) -> None:
        file, fresh = tmp_path / "ru.backup", tmp_path / "fresh"
        with pair(homes, clock) as (ru, be):
            issue(ru, shipments(count=3), Officer())
            await exchange(ru, be)
            made = json.loads(
                kpnode("--home", str(homes["RU"]), "--json", "backup", str(file)).stdout
            )
            size = ru.ledger.read(entries.size)

        assert made["size"] == size
        with tarfile.open(file) as archive:
            names = archive.getnames()
        assert not any("private" in name or name.endswith(".pem") for name in names)
        assert oct(file.stat().st_mode & 0o777) == "0o600"

        told = json.loads(kpnode("--home", str(fresh), "--json", "restore", str(file)).stdout)
        shutil.copytree(homes["RU"] / "keys" / "private", fresh / "keys" / "private")

        assert told["size"] == size
        with pair(homes | {"RU": fresh}, clock) as (ru, be):
            with pytest.raises(LogBehindError, match="EU-BE"):
                issue(ru, shipments(start=3), Officer())
            assert await exchange(ru, be) == [None, None]
            issue(ru, shipments(start=3), Officer())
            assert await exchange(ru, be) == [None, None]
            assert certificate(be, "RU00010121").state == "announced"
            assert incidents(be, "RU") == []

    async def test_an_old_backup_waits_hears_that_it_is_old_and_is_resumed(
        self, homes: dict[str, Path], clock: SetClock, tmp_path: Path
    ) -> None:
        file = tmp_path / "ru.backup"
        with pair(homes, clock) as (ru, be):
            issue(ru, shipments(count=2), Officer())
            await exchange(ru, be)
        kpnode("--home", str(homes["RU"]), "backup", str(file))
        with pair(homes, clock) as (ru, be):
            issue(ru, shipments(start=2), Officer())
            await exchange(ru, be)
        shutil.rmtree(homes["RU"] / "data")  # the disk, with the released checkpoint
        kpnode("--home", str(homes["RU"]), "restore", str(file))

        with pair(homes, clock) as (ru, be):
            (error, _) = await exchange(ru, be)
            assert "old copy" in str(error)
        kpnode("--home", str(homes["RU"]), "ledger", "resume", "--because", "disk lost")
        with pair(homes, clock) as (ru, be):
            for _ in range(3):
                errors = await exchange(ru, be)
            assert errors == [None, None]
            assert audited(ru).ok

    def test_without_a_peer_to_ask_the_operator_answers(
        self, tmp_path: Path, clock: SetClock
    ) -> None:
        home, file, fresh = tmp_path / "RU", tmp_path / "b", tmp_path / "fresh"
        kpnode(
            "init", str(home), "--authority", "RU", "--name", "n", "--url", "http://localhost:1",
            "--sandbox",
        )  # fmt: skip
        kpnode("--home", str(home), "backup", str(file))
        kpnode("--home", str(fresh), "restore", str(file))
        shutil.copytree(home / "keys" / "private", fresh / "keys" / "private")
        with open_node(fresh) as own, pytest.raises(LogBehindError):
            own.ledger.read(own.checkpoints.guard)

        done = kpnode("--home", str(fresh), "--json", "ledger", "resume", "--because", "new disk")

        assert json.loads(done.stdout)["successor"] is False
        with open_node(fresh) as own:
            own.ledger.read(own.checkpoints.guard)

    def test_a_ledger_that_is_there_is_moved_aside(
        self, homes: dict[str, Path], tmp_path: Path
    ) -> None:
        file = tmp_path / "b"
        kpnode("--home", str(homes["RU"]), "backup", str(file))

        told = kpnode("--home", str(homes["RU"]), "--json", "restore", str(file))

        assert Path(json.loads(told.stdout)["former_ledger"]).exists()

    def test_a_backup_touches_no_other_file_not_even_the_ledger_beside_it(
        self, homes: dict[str, Path]
    ) -> None:
        data = homes["RU"] / "data"
        beside = data / "node.new"
        beside.write_text("somebody's")

        kpnode("--home", str(homes["RU"]), "backup", str(data / "node"))

        assert beside.read_text() == "somebody's"
        assert (data / "node.db").exists()
        assert not list(data.glob(".kpnode-*"))
        kpnode("--home", str(homes["RU"]), "ledger", "verify")

    def test_a_node_in_use_is_not_replaced(self, homes: dict[str, Path], tmp_path: Path) -> None:
        file = tmp_path / "b"
        kpnode("--home", str(homes["RU"]), "backup", str(file))
        with open_node(homes["RU"]):
            code, told = refused("--home", homes["RU"], "restore", file)

        assert code == 1
        assert told["errors"][0]["code"] == "home-in-use"

    @pytest.mark.parametrize("at", [0.02, 0.3, 0.6, 0.9])
    def test_a_damaged_backup_is_refused_and_changes_nothing(
        self, homes: dict[str, Path], tmp_path: Path, at: float
    ) -> None:
        file, fresh = tmp_path / "b", tmp_path / "fresh"
        with open_node(homes["RU"]) as ru:
            issue(ru, shipments(count=5), Officer())
        kpnode("--home", str(homes["RU"]), "backup", str(file))
        raw = bytearray(file.read_bytes())
        raw[int(len(raw) * at)] ^= 0x55
        file.write_bytes(raw)
        code, told = refused("--home", fresh, "restore", file)

        if at > 0.1:  # in the ledger
            assert (code, told["errors"][0]["code"]) == (1, "bad-backup")
            assert not (fresh / "data").exists()
        assert code in (0, 1)

    @pytest.mark.parametrize("raw", [b"", b"nothing", b"\x00" * 2000, b"ustar" * 500])
    def test_what_is_no_backup_is_refused(self, tmp_path: Path, raw: bytes) -> None:
        file = tmp_path / "b"
        file.write_bytes(raw)
        code, told = refused("--home", tmp_path / "fresh", "restore", file)

        assert (code, told["errors"][0]["code"]) == (1, "bad-backup")
        assert not (tmp_path / "fresh").exists()

    def test_a_damaged_ledger_is_not_backed_up(
        self, homes: dict[str, Path], tmp_path: Path
    ) -> None:
        with open_node(homes["RU"]) as ru:
            issue(ru, shipments(count=2), Officer())

            def damage(tx: Any) -> None:
                tx.execute("DROP TRIGGER documents_no_update")
                tx.execute("UPDATE documents SET jws = CAST(jws || x'41' AS BLOB) WHERE rowid = 1")

            ru.ledger.write(damage)
        code, told = refused("--home", homes["RU"], "backup", tmp_path / "b")

        assert (code, told["errors"][0]["code"]) == (1, "damaged")
        assert os.listdir(tmp_path) == ["RU", "EU-BE"] or not (tmp_path / "b").exists()


class TestNewKeys:
    async def test_a_peer_that_lost_everything_comes_back_with_new_keys(
        self, homes: dict[str, Path], clock: SetClock, tmp_path: Path
    ) -> None:
        with pair(homes, clock) as (ru, be):
            issue(ru, shipments(count=2), Officer())
            confirm_all = [s["number"] for s in shipments(count=2)]
            await exchange(ru, be)
            confirm(be, confirm_all, Officer())
            await exchange(ru, be)
        new = make_homes(tmp_path / "new", "RU", "EU-BE", other_keys=True)["RU"]
        settings = (homes["RU"] / "peers.toml").read_text()
        jwks = homes["RU"] / "keys" / "EU-BE.jwks.json"
        shutil.copy(jwks, new / "keys" / "EU-BE.jwks.json")
        shutil.rmtree(homes["RU"])
        shutil.copytree(new, homes["RU"])
        (homes["RU"] / "peers.toml").write_text(settings)
        shutil.rmtree(homes["RU"] / "data")
        kpnode_reset(homes["RU"])

        with pair(homes, clock) as (ru, be):
            _, error = await exchange(ru, be)
            assert error is not None
            assert incidents(be, "RU") == ["keys-changed"]
            told = be.ledger.read(lambda tx: peers.incidents(tx, "RU"))[0]
            assert told.evidence["pinned"]["keys"] != told.evidence["found"]["keys"]
            fingerprint = ru.keys.fingerprint
        published = str(homes["RU"] / "keys" / "RU.jwks.json")
        kpnode(
            "--home", str(homes["EU-BE"]), "peer", "renew", "RU", "--jwks", published,
            "--fingerprint", fingerprint, "--because", "fire in Moscow",
        )  # fmt: skip
        kpnode(
            "--home", str(homes["RU"]), "ledger", "resume", "--new-log", "--because", "fire in Moscow",
        )  # fmt: skip

        with pair(homes, clock) as (ru, be):
            issue(ru, [dict(shipments(start=5)[0], number="RU00077777")], Officer())
            for _ in range(4):
                errors = await exchange(ru, be)
            assert errors == [None, None]
            assert certificate(be, "RU00077777").state == "announced"
            assert certificate(be, "RU00010118").state == "admitted"
            assert audited(ru).ok
        told = json.loads(
            kpnode("--home", str(homes["EU-BE"]), "--json", "ledger", "verify").stdout
        )
        assert told["ok"], told["problems"]

    def test_a_wrong_fingerprint_changes_nothing(
        self, homes: dict[str, Path], tmp_path: Path, be: OwnAuthority
    ) -> None:
        new = (
            make_homes(tmp_path / "new", "RU", "EU-BE", other_keys=True)["RU"]
            / "keys"
            / "RU.jwks.json"
        )

        with pytest.raises(ConfigError) as refused:
            hold_peer.renew_keys(
                be, "RU", key_set=new.read_bytes(), fingerprint="AAAA", because="x"
            )

        assert refused.value.code == "wrong-fingerprint"
        assert be.ledger.read(lambda tx: peers.key_sets(tx, "RU")) != []


def refused(*arguments: object) -> tuple[int, Any]:
    """Exit code and JSON of a command that may fail."""
    done = run("--json", *(str(a) for a in arguments))
    return done.exit_code, json.loads(done.stdout)


def kpnode_reset(home: Path) -> None:
    """A fresh ledger in a home, as init makes it."""
    from node.ledger.database import Ledger
    from node.wiring import read_config

    (home / "data").mkdir(mode=0o700)
    ledger = Ledger(home / "data" / "node.db", create=True)
    config = read_config(home)
    ledger.write(lambda tx: entries.belong_to(tx, config.node.origin))
    ledger.close()


class TestPause:
    async def test_a_paused_peer_is_sent_nothing_and_told_to_come_later(
        self, ru: OwnAuthority, be: OwnAuthority
    ) -> None:
        issue(ru, shipments(), Officer())
        hold_peer.pause(be, "RU", "audit in house")

        async with listening(ru), listening(be):
            done = await deliver(ru, "EU-BE")
            silent = await deliver(be, "RU")

        assert "503 paused" in str(done.error)
        assert state(ru).next_try - ru.now_s() == pytest.approx(900, abs=1)
        assert (silent.error, silent.bundles) == (None, 0)
        hold_peer.resume(be, "RU", "audit is over")
        async with listening(ru), listening(be):
            assert (await deliver(ru, "EU-BE")).delivered == 1

    def test_pausing_twice_and_resuming_what_goes_on_are_refused(self, be: OwnAuthority) -> None:
        with pytest.raises(ConfigError, match=r"not paused"):
            hold_peer.resume(be, "RU", "why not")
        hold_peer.pause(be, "RU", "first")

        with pytest.raises(ConfigError, match="first"):
            hold_peer.pause(be, "RU", "second")


def test_every_incident_has_words_and_a_way_out() -> None:
    for code, incident in INCIDENTS.items():
        assert "kpnode" in incident.mend, code
        assert len(incident.means) > 20, code


def test_the_ledger_reports_only_incidents_that_are_explained(be: OwnAuthority) -> None:
    with pytest.raises(AssertionError):
        be.ledger.write(lambda tx: peers.report(tx, "RU", "unheard-of", "in", "d", {}, 0))


def test_certificates_survive_a_succession(homes: dict[str, Path], clock: SetClock) -> None:
    with open_node(homes["RU"], clock=clock, alone=True) as ru:
        issue(ru, shipments(count=3), Officer())
        before = ru.ledger.read(lambda tx: certificates.listed(tx, "exporter", None, "", 10))

        resume_log(ru, "drill", Officer(), new_log=True)

        assert (
            ru.ledger.read(lambda tx: certificates.listed(tx, "exporter", None, "", 10)) == before
        )
        with pytest.raises(ProblemError):
            carry.make(ru, Authority("BY"))


class TestMoreLosses:
    """What came up in trials by hand: losses on the waiting side, on both sides, and again."""

    async def test_both_sides_that_lost_entries_find_each_other_again(
        self, homes: dict[str, Path], clock: SetClock, tmp_path: Path
    ) -> None:
        with pair(homes, clock) as (ru, be):
            issue(ru, shipments(count=2), Officer())
            await exchange(ru, be)
            confirm(be, ["RU00010118"], Officer())
            await exchange(ru, be)
        for name in homes:
            shutil.copy(homes[name] / "data" / "node.db", tmp_path / f"{name}.db")
        with pair(homes, clock) as (ru, be):
            issue(ru, shipments(start=2, count=2), Officer())
            confirm(be, ["RU00010119"], Officer())
            assert await exchange(ru, be) == [None, None]
        for name in homes:
            shutil.copy(tmp_path / f"{name}.db", homes[name] / "data" / "node.db")
            kpnode("--home", str(homes[name]), "ledger", "resume", "--because", "flood")

        with pair(homes, clock) as (ru, be):
            issue(ru, [dict(shipments(start=5)[0], number="RU00077777")], Officer())
            for _ in range(5):
                errors = await exchange(ru, be)
            assert errors == [None, None]
            assert certificate(be, "RU00077777").state == "announced"
            assert incidents(ru) == ["log-succeeded"]
            assert incidents(be, "RU") == ["log-succeeded"]
            assert audited(ru).ok
            assert audited(be).ok

    async def test_what_the_other_side_lost_is_sent_again_at_once(
        self, homes: dict[str, Path], clock: SetClock, tmp_path: Path
    ) -> None:
        """EU-BE is put back and begins a successor; RU's couriers hear of it from its first bundle."""
        database = homes["EU-BE"] / "data" / "node.db"
        shutil.copy(database, tmp_path / "old")
        with open_node(homes["RU"], clock=clock) as ru:
            issue(ru, shipments(count=3), Officer())
            async with aiohttp.ClientSession() as session:
                dispatch = Dispatch(ru, session, "test")
                with open_node(homes["EU-BE"], clock=clock) as be:
                    async with listening(be):
                        await dispatch.start()
                        await until(lambda: state(ru).acknowledged == 3)
                shutil.copy(tmp_path / "old", database)
                kpnode("--home", str(homes["EU-BE"]), "ledger", "resume", "--because", "disk lost")
                with open_node(homes["EU-BE"], clock=clock) as be:
                    async with listening(be), listening(ru):
                        assert (await deliver(be, "RU")).error is None
                        dispatch.wake_peer(BE)  # as the listener does
                        await until(lambda: holds(be, "RU00010120"))
                        await until(lambda: state(ru).acknowledged == 3)
                await dispatch.stop()
            assert incidents(ru) == ["log-succeeded"]

    async def test_a_waiting_side_that_lost_entries_is_told_by_the_caller(
        self, homes: dict[str, Path], clock: SetClock, tmp_path: Path
    ) -> None:
        """Pull: EU-BE calls for both; RU, which waits, is put back."""

        async def call(ru: OwnAuthority, be: OwnAuthority) -> str | None:
            clock.advance(seconds=5)
            async with listening(ru):
                return (await deliver(be, "RU")).error

        with pair(homes, clock) as (ru, be):
            set_mode(ru, "EU-BE", "pull", url=False)
            set_mode(be, "RU", "pull")
            issue(ru, shipments(count=2), Officer())
            assert await call(ru, be) is None
        shutil.copy(homes["RU"] / "data" / "node.db", tmp_path / "old")
        with pair(homes, clock) as (ru, be):
            issue(ru, shipments(start=2, count=2), Officer())
            confirm(be, ["RU00010118"], Officer())
            assert await call(ru, be) is None
        shutil.copy(tmp_path / "old", homes["RU"] / "data" / "node.db")
        kpnode("--home", str(homes["RU"]), "ledger", "resume", "--because", "disk lost")

        with pair(homes, clock) as (ru, be):
            issue(ru, [dict(shipments(start=5)[0], number="RU00077777")], Officer())
            confirm(be, ["RU00010119"], Officer())
            for _ in range(3):
                await call(ru, be)
            hold_peer.resume(be, "RU", "Moscow lost a disk")
            for _ in range(3):
                error = await call(ru, be)
            assert error is None
            assert certificate(be, "RU00077777").state == "announced"
            assert certificate(ru, "RU00010118").state == "confirmed"
            assert certificate(ru, "RU00010119").state == "confirmed"
            assert incidents(ru) == []

    @pytest.mark.parametrize("how", ["whole folder", "restore"])
    async def test_a_copy_older_than_the_successor_is_an_old_copy_too(
        self, homes: dict[str, Path], clock: SetClock, tmp_path: Path, how: str
    ) -> None:
        data, file = homes["RU"] / "data", tmp_path / "b"
        with pair(homes, clock) as (ru, be):
            issue(ru, shipments(count=2), Officer())
            await exchange(ru, be)
        kpnode("--home", str(homes["RU"]), "backup", str(file))
        shutil.copytree(data, tmp_path / "data")
        kpnode("--home", str(homes["RU"]), "ledger", "resume", "--new-log", "--because", "drill")
        with pair(homes, clock) as (ru, be):
            issue(ru, shipments(start=2), Officer())
            for _ in range(2):
                await exchange(ru, be)
        if how == "restore":
            kpnode("--home", str(homes["RU"]), "restore", str(file))
        else:
            shutil.rmtree(data)
            shutil.copytree(tmp_path / "data", data)

        with pair(homes, clock) as (ru, be):
            (error, _) = await exchange(ru, be)
            assert "old copy" in str(error)
            with pytest.raises(LogBehindError):
                issue(ru, shipments(start=5), Officer())
        told = kpnode(
            "--home", str(homes["RU"]), "--json", "ledger", "resume", "--because", "again"
        )
        assert json.loads(told.stdout)["origin"] == "kpx-sandbox/RU/3"
        assert "kpx-sandbox/RU/2" in json.loads(told.stdout)["predecessor"]

        with pair(homes, clock) as (ru, be):
            for _ in range(3):
                errors = await exchange(ru, be)
            assert errors == [None, None]
            assert audited(ru).ok
        kept = [
            path.name for path in data.iterdir() if path.name.startswith("released-checkpoint-")
        ]
        assert len(kept) == len(set(kept))

    async def test_the_way_out_that_an_incident_names_is_open(
        self, homes: dict[str, Path], clock: SetClock
    ) -> None:
        with pair(homes, clock) as (ru, _):
            claim = {"position": {"received": {"have": 9}}}
            ru.ledger.write(
                lambda tx: peers.report(tx, "EU-BE", "position-ahead", "in", "x", claim, ru.now_s())
            )

        told = kpnode("--home", str(homes["RU"]), "--json", "ledger", "resume", "--because", "lost")

        assert json.loads(told.stdout)["successor"] is True
        with pair(homes, clock) as (ru, _):
            assert incidents(ru) == []

    def test_status_says_that_nothing_may_be_signed(
        self, homes: dict[str, Path], tmp_path: Path
    ) -> None:
        kpnode("--home", str(homes["RU"]), "backup", str(tmp_path / "b"))
        kpnode("--home", str(homes["RU"]), "restore", str(tmp_path / "b"))

        told = kpnode("--home", str(homes["RU"]), "--json", "status")

        assert "restored from a backup" in json.loads(told.stdout)["stopped"]
        assert "STOPPED" in kpnode("--home", str(homes["RU"]), "status").output

    def test_a_backup_of_other_keys_is_not_called_damaged(
        self, homes: dict[str, Path], tmp_path: Path
    ) -> None:
        other = make_homes(tmp_path / "other", "RU", "EU-BE", other_keys=True)
        kpnode("--home", str(other["RU"]), "backup", str(tmp_path / "b"))

        code, told = refused("--home", homes["RU"], "restore", tmp_path / "b")

        assert (code, told["errors"][0]["code"]) == (1, "wrong-home")
        assert "other keys" in told["errors"][0]["detail"]

    def test_a_backup_into_no_folder_blames_the_folder(
        self, homes: dict[str, Path], tmp_path: Path
    ) -> None:
        code, told = refused("--home", homes["RU"], "backup", tmp_path / "no" / "b")

        assert (code, told["errors"][0]["code"]) == (1, "unusable-file")
