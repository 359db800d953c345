"""The ledger: append-only, durable, verifiable, and never ahead of itself."""

import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlite_utils.utils
from sqlite_utils import Database

from node import durable_file, wiring
from node.authority import OwnAuthority
from node.errors import ConfigError, LedgerUnavailableError, LogBehindError
from node.home_lock import in_use
from node.ledger import (
    acts,
    certificates,
    database,
    drafts,
    entries,
    peers,
    released,
    seals,
    streams,
)
from node.ledger.audit import Audit, audit
from node.ledger.copy import copy
from node.ledger.database import NEWEST, Ledger, Transaction
from node.ledger.migrations import migrations
from node.ledger.rebuild import rebuild
from node.ledger.sqlite import sqlite3
from node.office.draft import draft, inspect_export
from node.office.goods import present_paper, record
from node.office.issue import issue
from node.office.officer import Officer
from node.office.sources import admit_paper
from node.wiring import open_node
from tests.nodes import SetClock, opened, shipments

OFFICER = Officer("Moscow", "Officer 7")
NUMBER = "RU00010118"
TABLES = ["entries", "nodes", "checkpoints", "stream_out", "stream_in", "seen_checkpoints", "acts"]


def audited(own: OwnAuthority) -> Audit:
    ring = {**own.book.ring, own.name: own.keys}
    return own.ledger.read(lambda tx: audit(tx, own.checkpoints, ring, own.crew))


def tampered(own: OwnAuthority, sql: str, *values: Any) -> Audit:
    """What the audit says after someone with the file changed it, triggers dropped."""

    def act(tx: Transaction) -> None:
        for (name,) in tx.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        ).fetchall():
            tx.execute(f"DROP TRIGGER {name}")
        assert tx.execute(sql, values).rowcount > 0

    own.ledger.write(act)
    return audited(own)


@pytest.fixture
def filled(ru: OwnAuthority) -> OwnAuthority:
    issue(ru, shipments(count=5), OFFICER)
    ru.ledger.write(lambda tx: ru.checkpoints.current(tx, ru.now_s()))
    return ru


def test_issued_certificates_are_in_the_log_the_stream_and_the_trail(filled: OwnAuthority) -> None:
    size, place, held, trail = filled.ledger.read(
        lambda tx: (
            entries.size(tx),
            streams.sent_place(tx, "EU-BE"),
            certificates.by_number(tx, "RU00010118"),
            acts.listed(tx, "RU00010118"),
        )
    )

    assert size == 5
    assert place is not None
    assert place.position == 5
    assert held is not None
    assert held.state == "issued"
    assert [(act.verb, act.office, act.officer) for act in trail] == [
        ("issue", "Moscow", "Officer 7")
    ]


def test_a_sound_ledger_passes_the_audit(filled: OwnAuthority) -> None:
    found = audited(filled)

    assert found.ok
    assert (found.size, found.signatures) == (5, 5)
    assert found.root == filled.ledger.read(entries.root)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("verb", ["UPDATE {} SET rowid = rowid", "DELETE FROM {}"])
def test_what_was_written_is_neither_changed_nor_deleted(
    filled: OwnAuthority, table: str, verb: str
) -> None:
    if "UPDATE" in verb:
        column = {"stream_out": "peer", "stream_in": "peer", "seen_checkpoints": "peer"}
        verb = f"UPDATE {{}} SET {column.get(table, 'rowid')} = {column.get(table, 'rowid')}"
        verb = verb.replace("rowid", "level") if table == "nodes" else verb

    def act(tx: Transaction) -> int:
        if table in ("stream_in", "seen_checkpoints"):
            tx.execute(_ROW[table])
        return int(tx.execute(verb.format(table)).rowcount)

    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        filled.ledger.write(act)


_ROW = {
    "stream_in": "INSERT INTO stream_in VALUES ('BY', 1, 'x', zeroblob(32), 0)",
    "seen_checkpoints": "INSERT INTO seen_checkpoints VALUES ('BY', 1, 1, zeroblob(32), '', 0)",
}


def test_a_documents_bytes_are_never_changed(filled: OwnAuthority) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="immutable"):
        filled.ledger.write(lambda tx: tx.execute("UPDATE documents SET jws = x'00'"))


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        (
            "UPDATE documents SET jws = CAST(replace(CAST(jws AS TEXT), 'eyJ', 'eyK') AS BLOB) "
            "WHERE doc_id = (SELECT doc_id FROM entries WHERE idx = 3)",
            "entry 3",
        ),
        (
            "UPDATE documents SET doc_id = iif(doc_id LIKE 'x%', 'y', 'x') || substr(doc_id, 2) "
            "WHERE idx = 2",
            "entry 2",
        ),
        ("UPDATE documents SET iss = 'EU-BE' WHERE idx = 2", "entry 2"),
        ("UPDATE documents SET iat = iat + 1 WHERE idx = 2", "entry 2"),
        ("UPDATE entries SET leaf = zeroblob(32) WHERE idx = 2", "entry 2"),
        ("DELETE FROM documents WHERE idx = 2", "entry 2"),
        ("DELETE FROM entries WHERE idx = 1", "entry 1"),
        ("DELETE FROM entries WHERE idx = 4", "checkpoint of size 5"),
        ("UPDATE nodes SET hash = zeroblob(32) WHERE level = 1 AND idx = 1", "node 1/1"),
        ("DELETE FROM nodes WHERE level = 2", "node 2/0"),
        ("UPDATE checkpoints SET root = zeroblob(32)", "checkpoint of size 5"),
        ("UPDATE checkpoints SET note = note || 'x'", "checkpoint of size 5"),
        ("UPDATE stream_out SET head = zeroblob(32) WHERE position = 4", "position 4"),
        ("DELETE FROM stream_out WHERE position = 2", "position 3"),
    ],
)
def test_a_change_behind_the_nodes_back_is_named(
    filled: OwnAuthority, sql: str, named: str
) -> None:
    found = tampered(filled, sql)

    assert not found.ok
    assert any(named in problem for problem in found.problems), found.problems


def test_a_damaged_page_is_named_though_no_document_stands_there(
    filled: OwnAuthority, tmp_path: Path
) -> None:
    file = tmp_path / "copy.db"
    filled.ledger.read(lambda tx: copy(tx, file, lambda *_: None))
    with closing(sqlite3.connect(file)) as db:
        (page,) = db.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'subscribers' AND type = 'table'"
        ).fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    raw = bytearray(file.read_bytes())
    raw[(page - 1) * size : (page - 1) * size + 8] = b"\xff" * 8
    file.write_bytes(raw)

    with closing(Ledger(file)) as ledger:
        ring = {filled.name: filled.keys}
        found = ledger.read(lambda tx: audit(tx, filled.checkpoints, ring, filled.crew))

    assert [problem.split(":")[0] for problem in found.problems] == ["the database file"]


def test_one_changed_byte_of_a_stored_document_is_named(filled: OwnAuthority) -> None:
    jws = bytearray(filled.ledger.read(lambda tx: entries.entry(tx, 3)).jws)  # type: ignore[union-attr, arg-type]
    jws[500] ^= 1

    found = tampered(
        filled,
        "UPDATE documents SET jws = ? WHERE doc_id = (SELECT doc_id FROM entries WHERE idx = 3)",
        bytes(jws),
    )

    assert [problem.split(" (")[0] for problem in found.problems] == ["entry 3"]


def test_a_changed_signature_is_named(filled: OwnAuthority) -> None:
    jws = filled.ledger.read(lambda tx: entries.entry(tx, 0)).jws  # type: ignore[union-attr]
    assert jws is not None
    other = jws[:-20] + (b"A" if jws[-20:-19] != b"A" else b"B") + jws[-19:]

    found = tampered(
        filled,
        "UPDATE documents SET jws = ? WHERE doc_id = (SELECT doc_id FROM entries WHERE idx = 0)",
        other,
    )

    assert "bad-signature" in found.problems[0]


def test_two_processes_append_to_one_log(
    filled: OwnAuthority, homes: dict[str, Path], clock: SetClock
) -> None:
    with open_node(homes["RU"], clock=clock) as beside:
        issue(beside, shipments(count=2, start=5), OFFICER)
        issue(filled, shipments(count=2, start=7), OFFICER)

        assert audited(beside).ok
        assert audited(filled).size == 9


def test_a_failed_act_leaves_nothing(filled: OwnAuthority) -> None:
    def act(tx: Transaction) -> None:
        peers.report(tx, "EU-BE", "log-fork", "in", "made up", {}, 0)
        raise KeyError("broken off")

    with pytest.raises(KeyError):
        filled.ledger.write(act)

    assert filled.ledger.read(lambda tx: peers.incidents(tx, "EU-BE")) == []


def test_durability_is_that_of_the_disk(filled: OwnAuthority) -> None:
    def pragmas(tx: Transaction) -> list[Any]:
        names = ("synchronous", "journal_mode", "foreign_keys")
        return [tx.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

    assert filled.ledger.write(pragmas) == [2, "wal", 1]


class TestReleasedCheckpoint:
    """What has left the node may never be contradicted."""

    def test_a_restored_older_database_signs_nothing(
        self, homes: dict[str, Path], clock: SetClock
    ) -> None:
        database = homes["RU"] / "data" / "node.db"
        with open_node(homes["RU"], clock=clock) as own:
            issue(own, shipments(count=2), OFFICER)
        shutil.copy(database, homes["RU"] / "backup.db")
        with open_node(homes["RU"], clock=clock) as own:
            issue(own, shipments(count=2, start=2), OFFICER)
            own.checkpoints.release(self.current(own))
        self.restore(homes["RU"])

        with (
            open_node(homes["RU"], clock=clock) as own,
            pytest.raises(
                LogBehindError, match="a checkpoint of 4 entries of kpx-sandbox/RU has left it"
            ),
        ):
            issue(own, shipments(count=1, start=5), OFFICER)

    def test_a_node_whose_checkpoint_did_not_leave_goes_on(
        self, homes: dict[str, Path], clock: SetClock
    ) -> None:
        with open_node(homes["RU"], clock=clock) as own:
            issue(own, shipments(count=2), OFFICER)
            own.checkpoints.release(self.current(own))
            issue(own, shipments(count=2, start=2), OFFICER)

            own.ledger.read(own.checkpoints.guard)

    def test_a_damaged_file_signs_nothing(self, filled: OwnAuthority) -> None:
        filled.config.node.released_checkpoint.write_text("kpx-sandbox/RU\n9\n")

        with pytest.raises(LogBehindError, match="damaged"):
            filled.ledger.read(filled.checkpoints.guard)

    def test_a_smaller_checkpoint_never_replaces_a_larger(self, ru: OwnAuthority) -> None:
        issue(ru, shipments(count=1), OFFICER)
        small = self.current(ru)
        issue(ru, shipments(count=1, start=1), OFFICER)
        large = self.current(ru)
        ru.checkpoints.release(large)

        ru.checkpoints.release(small)

        assert ru.config.node.released_checkpoint.read_text("utf-8") == large

    def test_the_last_note_added_counts(self, ru: OwnAuthority) -> None:
        path, notes = ru.config.node.released_checkpoint, []
        for start in range(30):
            issue(ru, shipments(count=1, start=start), OFFICER)
            notes.append(self.current(ru))
            ru.checkpoints.release(notes[-1])

            assert released.last(path) == notes[-1]
            assert path.stat().st_size < 2 * released.KEPT_BYTES
        ru.ledger.read(ru.checkpoints.guard)

    def test_a_note_cut_off_while_it_was_added_had_not_left(self, ru: OwnAuthority) -> None:
        path, notes = ru.config.node.released_checkpoint, []
        for start in range(3):
            issue(ru, shipments(count=1, start=start), OFFICER)
            notes.append(self.current(ru))
        for note in notes[:2]:
            ru.checkpoints.release(note)
        whole = path.read_bytes()
        added = f"\n{notes[2]}".encode()
        for cut in range(len(added)):
            for rest in (b"", b"\0" * 7):
                path.write_bytes(whole + added[:cut] + rest)

                assert released.last(path) == notes[1]
        ru.checkpoints.release(notes[2])

        assert path.read_text("utf-8") == notes[2]  # begun anew

    def test_a_note_that_the_disk_did_not_take_is_written_anew(
        self, ru: OwnAuthority, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fails(path: Path, raw: bytes) -> None:
            path.write_bytes(path.read_bytes() + raw[:50])
            raise OSError(5, "simulated")

        path, notes = ru.config.node.released_checkpoint, []
        for start in range(2):
            issue(ru, shipments(count=1, start=start), OFFICER)
            notes.append(self.current(ru))
        ru.checkpoints.release(notes[0])
        monkeypatch.setattr(durable_file, "append", fails)

        ru.checkpoints.release(notes[1])

        assert path.read_text("utf-8") == notes[1]

    @pytest.mark.parametrize("damage", [b"", b"\xff\xfe", b"kpx-sandbox/RU\n"])
    def test_a_file_that_names_no_checkpoint_signs_nothing(
        self, filled: OwnAuthority, damage: bytes
    ) -> None:
        filled.config.node.released_checkpoint.write_bytes(damage)

        with pytest.raises(LogBehindError, match=r"damaged|cannot be read"):
            filled.ledger.read(filled.checkpoints.guard)

    @staticmethod
    def current(own: OwnAuthority) -> str:
        return own.ledger.write(lambda tx: own.checkpoints.current(tx, own.now_s()).note)

    @staticmethod
    def restore(home: Path) -> None:
        for leftover in (home / "data").glob("node.db*"):
            leftover.unlink()
        shutil.copy(home / "backup.db", home / "data" / "node.db")


def test_a_database_held_by_another_process_is_a_clear_error(ru: OwnAuthority) -> None:
    path = ru.config.node.database
    other = sqlite3.connect(path, isolation_level=None)
    impatient = Ledger(path, busy_timeout_s=0.1)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(LedgerUnavailableError, match="locked"):
        impatient.write(entries.size)

    other.execute("ROLLBACK")
    assert impatient.write(entries.size) == 0
    impatient.close()
    other.close()


@pytest.mark.parametrize(
    "change", [("sandbox = true", "sandbox = false"), ('authority = "RU"', 'authority = "BY"')]
)
def test_a_ledger_is_one_authoritys_and_of_one_world_for_life(
    homes: dict[str, Path], change: tuple[str, str]
) -> None:
    settings = homes["RU"] / "peers.toml"
    settings.write_text(settings.read_text("utf-8").replace(*change, 1), "utf-8")
    keys = homes["RU"] / "keys"
    other = (keys / "RU.jwks.json").read_text("utf-8").replace('"RU"', '"BY"')
    (keys / "BY.jwks.json").write_text(other, "utf-8")

    with pytest.raises(ConfigError) as error, open_node(homes["RU"]):
        pass

    assert error.value.code == "wrong-home"


def test_a_reload_never_changes_who_this_node_is(ru: OwnAuthority) -> None:
    from dataclasses import replace

    other = replace(ru.config.node, sandbox=False)

    ru.reload_peers(replace(ru.config, node=other, peers=()))

    assert ru.sandbox
    assert not ru.book.settings


def test_a_log_key_is_renewed_and_the_old_notes_stay_good(
    homes: dict[str, Path], clock: SetClock
) -> None:
    import json

    from node.ids import Authority
    from node.jose.signing import make_keys

    with open_node(homes["RU"], clock=clock) as own:
        issue(own, shipments(), OFFICER)
        own.checkpoints.release(TestReleasedCheckpoint.current(own))
    clock.advance(hours=1)
    fresh = make_keys(Authority("RU"), homes["RU"] / "fresh", own.now_s())
    new_log = fresh.with_role("log")[0]
    (homes["RU"] / "fresh" / f"{new_log.kid}.pem").rename(
        homes["RU"] / "keys" / "private" / f"{new_log.kid}.pem"
    )
    path = homes["RU"] / "keys" / "RU.jwks.json"
    published = json.loads(path.read_text("utf-8"))
    published["keys"].append(dict(new_log.jwk))
    path.write_text(json.dumps(published), "utf-8")

    with open_node(homes["RU"], clock=clock) as own:
        assert own.signers["log"].kid == new_log.kid
        issue(own, shipments(start=1), OFFICER)
        own.checkpoints.release(TestReleasedCheckpoint.current(own))
        assert audited(own).ok


def test_a_missing_database_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="kpnode init"):
        Ledger(tmp_path / "none.db")


def test_a_folder_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "node.db").mkdir()

    assert database.up_to_date(tmp_path / "node.db")  # nothing to change
    with pytest.raises(ConfigError) as error:
        Ledger(tmp_path / "node.db")
    assert error.value.code == "bad-database"


def test_a_reader_that_cannot_be_opened_is_no_end(
    filled: OwnAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Ledger(filled.config.node.database)) as ledger:
        with monkeypatch.context() as broken:

            def fails() -> Any:
                raise sqlite3.OperationalError("simulated: too many open files")

            broken.setattr(ledger._readers, "_connect", fails)
            with pytest.raises(LedgerUnavailableError, match="too many"):
                ledger.read(entries.size)
        assert ledger.read(entries.size) == filled.ledger.read(entries.size)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "node.db").write_bytes(b"no database at all" * 100)

    with pytest.raises(ConfigError) as error:
        Ledger(tmp_path / "node.db")

    assert error.value.code == "bad-database"


def test_a_delivery_lease_is_one_holders_until_it_ends(ru: OwnAuthority) -> None:
    def take(holder: str, now_s: int) -> Callable[[Transaction], bool]:
        return lambda tx: peers.take_lease(tx, "EU-BE", holder, now_s, now_s + 60)

    assert ru.ledger.write(take("one", 1000))
    assert not ru.ledger.write(take("two", 1030))
    assert ru.ledger.write(take("two", 1061))
    ru.ledger.write(lambda tx: peers.drop_lease(tx, "EU-BE", "two"))
    assert ru.ledger.write(take("one", 1062))


def test_a_ledger_of_an_earlier_version_is_taken_over(filled: OwnAuthority, tmp_path: Path) -> None:
    file, before = filled.config.node.database, tmp_path / "before.db"
    old = Database(sqlite3.connect(before))
    migrations.apply(old, stop_before="0003-growth")
    old.conn.execute("ATTACH ? AS now", (str(file),))
    for table in ("home", "entries", "nodes", "checkpoints", "documents", "stream_out",
                  "certificates", "acts", "peers", "key_sets"):  # fmt: skip
        columns = ", ".join(column.name for column in old[table].columns)
        old.conn.execute(f"DELETE FROM main.{table}") if table == "peers" else None
        old.conn.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM now.{table}")
    old.conn.commit()
    old.conn.close()

    def everything(ledger: Ledger) -> Any:
        return ledger.read(
            lambda tx: (
                certificates.listed(tx, None, None, "", 100),
                certificates.listed(tx, None, None, "", 100, party="SAMPLE EXPORTER 0"),
                [entries.entry(tx, index) for index in range(entries.size(tx))],
            )
        )

    with closing(Ledger(before)) as ledger:
        found = everything(ledger)
        ring = {**filled.book.ring, filled.name: filled.keys}
        assert ledger.read(lambda tx: audit(tx, filled.checkpoints, ring, filled.crew)).ok
    assert found == everything(filled.ledger)
    assert 0 < len(found[1]) <= len(found[0]) == 5


class TestWritesThatWaitTogether:
    """They share one commit, and nothing else."""

    @staticmethod
    def noted(tx: Transaction, what: str) -> None:
        acts.note(tx, 0, "test", what)
        if what == "bad":
            raise RuntimeError(what)
        if what == "full":
            acts.note_each(tx, 0, "test", ["x" * 1000] * 5000, None, None)

    def together(self, ledger: Ledger, *what: str) -> list[BaseException | None]:
        """Write all while the writer is held up, so that they wait together."""
        held, go = threading.Event(), threading.Event()

        def hold(_: Transaction) -> None:
            held.set()
            assert go.wait(10)

        with ThreadPoolExecutor(len(what) + 1) as pool:
            first = pool.submit(ledger.write, hold)
            assert held.wait(10)
            writes = [pool.submit(ledger.write, lambda tx, w=w: self.noted(tx, w)) for w in what]
            while len(ledger._waiting) < len(what):
                pass
            go.set()
            first.result()
            return [write.exception() for write in writes]

    def test_each_succeeds_or_fails_for_itself(self, filled: OwnAuthority) -> None:
        failures = self.together(filled.ledger, "one", "bad", "two")

        assert [str(f) if f else "" for f in failures] == ["", "bad", ""]
        kept = filled.ledger.read(
            lambda tx: [bool(acts.listed(tx, w)) for w in ("one", "bad", "two")]
        )
        assert kept == [True, False, True]

    def test_they_share_one_commit(self, filled: OwnAuthority) -> None:
        statements: list[str] = []
        filled.ledger.write(lambda tx: tx.set_trace_callback(statements.append))

        self.together(filled.ledger, *(f"n{i}" for i in range(20)))

        commits = statements.count("COMMIT")
        assert commits == 3  # of the write above, of the one that held them up, and of all twenty

    def test_who_is_done_does_not_wait_for_who_comes_later(self, filled: OwnAuthority) -> None:
        ledger, go, holds = filled.ledger, threading.Event(), threading.Event()

        def hold(_: Transaction) -> None:
            holds.set()
            assert go.wait(10)

        def long(_: Transaction) -> None:
            assert ended.wait(10)

        ended = threading.Event()
        with ThreadPoolExecutor(12) as pool:
            first = pool.submit(ledger.write, hold)
            assert holds.wait(10)
            before = [pool.submit(ledger.write, lambda tx: self.noted(tx, "x")) for _ in range(8)]
            while len(ledger._waiting) < len(before):
                pass
            go.set()
            first.result(10)
            later = pool.submit(ledger.write, long)
            for one in before:
                one.result(10)
            ended.set()
            later.result(10)

    def test_a_closed_ledger_refuses_and_keeps_nobody_waiting(self, filled: OwnAuthority) -> None:
        ledger, go, reads = Ledger(filled.config.node.database), threading.Event(), []

        def read(_: Transaction) -> None:
            reads.append(1)
            assert go.wait(10)

        with ThreadPoolExecutor(8) as pool:
            asked = [
                pool.submit(ledger.read, read) for _ in range(6)
            ]  # two more than there is room
            while len(reads) < 4:
                pass
            closing_ = pool.submit(ledger.close)
            go.set()
            closing_.result(10)
            refused = [one.exception(10) for one in asked]

        assert {type(one) for one in refused} <= {LedgerUnavailableError, type(None)}
        for late in (ledger.read, ledger.write):
            with pytest.raises(LedgerUnavailableError, match="closed"):
                late(lambda tx: None)
        ledger.close()

    def test_an_interrupted_writer_leaves_the_turn_to_the_next(self, filled: OwnAuthority) -> None:
        def interrupted(_: Transaction) -> None:
            raise KeyboardInterrupt  # simulated: as Ctrl-C comes in the middle of an act

        with pytest.raises(KeyboardInterrupt):
            filled.ledger.write(interrupted)

        filled.ledger.write(lambda tx: self.noted(tx, "after"))
        assert filled.ledger.read(lambda tx: acts.listed(tx, "after"))

    def test_the_wal_is_copied_beside_the_work(
        self, filled: OwnAuthority, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def waits() -> int:
            with filled.ledger._readers.one() as connection:
                _, pages, copied = connection.execute("PRAGMA wal_checkpoint(NOOP)").fetchone()
                return int(pages - copied)

        filled.ledger.write(lambda tx: self.noted(tx, "full"))
        before = waits()
        monkeypatch.setattr(database, "CHECKPOINT_PAGES", before // 2)
        monkeypatch.setattr(database, "LOOKS_AFTER", 1)

        filled.ledger.write(lambda tx: self.noted(tx, "one"))

        until = time.monotonic() + 10
        while waits() > 0:
            assert time.monotonic() < until
        assert 1000 < before < 4 * 4000

    def test_where_the_disk_is_full_all_are_told(self, filled: OwnAuthority) -> None:
        filled.ledger.write(lambda tx: tx.execute("PRAGMA max_page_count = 1"))

        failures = self.together(filled.ledger, "one", "full", "two")

        assert [type(failure) for failure in failures] == [LedgerUnavailableError] * 3
        assert filled.ledger.read(lambda tx: acts.listed(tx, "one")) == []


@pytest.mark.parametrize("many", [0, 200])
def test_certificates_are_found_by_a_part_of_a_partys_name(
    ru: OwnAuthority, monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    issue(ru, shipments(count=15), OFFICER)
    every = ru.ledger.read(lambda tx: certificates.listed(tx, None, None, "", 100))
    monkeypatch.setattr(certificates, "MANY_PARTIES", many)

    for part in ("sample", "ОБРАЗЕЦ", "03", "échantillon", "no such firm"):
        expected = [
            one.number
            for one in every
            if any(
                part.casefold() in one.body[role]["name"].casefold()
                for role in ("exporter", "importer")
            )
        ]
        for after, limit in (("", 100), ("", 3), (every[6].number, 4)):
            found = ru.ledger.read(
                lambda tx, p=part, a=after, n=limit: certificates.listed(
                    tx, "exporter", "EU-BE", a, n, party=p
                )
            )
            assert [one.number for one in found] == [n for n in expected if n > after][:limit]


def make_as_before(ledger: Any) -> None:
    """Undo what the last three migrations did."""
    ledger.execute("DROP TABLE seals")
    for day in ("issued_on", "expires_on"):
        ledger.execute(f"ALTER TABLE certificates DROP COLUMN {day}")
    for table, column in (("papers", "state"), ("drafts", "found")):
        ledger.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
    ledger.execute("DELETE FROM _sqlite_migrations WHERE name >= '0008'")
    ledger.execute("CREATE INDEX sent_peer ON sent (peer, made_at)")
    for index in ("sent_until", "rejudged_order"):
        ledger.execute(f"DROP INDEX {index}")
    ledger.execute("INSERT INTO nodes SELECT 0, idx, leaf FROM entries")
    ledger.commit()


def test_a_ledger_from_before_has_the_states_that_its_log_gives(homes: dict[str, Path]) -> None:
    (second,) = shipments(start=1)
    with open_node(homes["RU"]) as ru:
        draft(ru, [*shipments(), second], OFFICER)
        inspect_export(ru, "RU00010118", OFFICER, found={"parcels": 77}, place="Moscow")
        inspect_export(ru, "RU00010118", OFFICER, found={"seals_intact": False}, place="Moscow")
        present_paper(ru, "BY00000001", OFFICER, issuer="BY")
        today = ru.clock.now().date().isoformat()
        admit_paper(ru, "BY00000001", OFFICER, issuer="BY", carats="5.00", received_on=today)
        path = ru.config.node.database
    with closing(sqlite3.connect(path)) as ledger:
        ledger.execute("DELETE FROM life")
        make_as_before(ledger)

    def models(own: OwnAuthority) -> list[Any]:
        tables = ("papers", "drafts", "life", "admissions")
        return [
            own.ledger.read(
                lambda tx, t=t: [tuple(row) for row in tx.execute(f"SELECT * FROM {t}")]
            )
            for t in tables
        ]

    with open_node(homes["RU"]) as ru:
        migrated = models(ru)
        ru.ledger.write(lambda tx: rebuild(tx, "RU"))
        assert models(ru) == migrated
        assert ru.ledger.read(lambda tx: drafts.by_number(tx, "RU00010118")).found == {  # type: ignore[union-attr]
            "parcels": 77, "seals_intact": False,
        }  # fmt: skip


def test_a_ledger_from_before_is_changed_only_while_nobody_else_has_it(
    homes: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wiring, "PATIENCE_S", 0.2)
    with open_node(homes["RU"]) as ru:
        issue(ru, shipments(), OFFICER)
        path = ru.config.node.database
    with closing(sqlite3.connect(path)) as ledger:
        make_as_before(ledger)

    with in_use(path.parent), pytest.raises(ConfigError) as refused, open_node(homes["RU"]):
        pass
    assert refused.value.code == "home-in-use"
    assert not database.up_to_date(path)

    def opens(_: int) -> int:
        with open_node(homes["RU"]) as ru:
            return ru.ledger.read(entries.size)

    monkeypatch.setattr(wiring, "PATIENCE_S", 20.0)
    with ThreadPoolExecutor(3) as together:  # each has its own file of the lock
        assert list(together.map(opens, range(3))) == [1, 1, 1]
    assert database.up_to_date(path)


def test_seals_of_a_ledger_from_before_are_found_as_those_of_a_new_one(
    homes: dict[str, Path], tmp_path: Path
) -> None:
    with opened(homes, SetClock()) as nodes:
        ru = nodes["RU"]
        issue(ru, shipments(count=3), OFFICER)
        record(ru, "sealing", NUMBER, OFFICER, {"containers": [{"seal": "BOX 7"}]})
        database = ru.config.node.database
        all_of_them = ru.ledger.read(lambda tx: tx.execute("SELECT * FROM seals").fetchall())
        ru.ledger.write(lambda tx: rebuild(tx, ru.name))
        rebuilt = ru.ledger.read(lambda tx: tx.execute("SELECT * FROM seals").fetchall())
    before = tmp_path / "before.db"
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(before)) as target:
        source.backup(target)
        make_as_before(target)

    with closing(Ledger(before)) as ledger:
        migrated = ledger.read(lambda tx: tx.execute("SELECT * FROM seals").fetchall())
        listed = lambda seal: [  # noqa: E731
            one.number
            for one in ledger.read(
                lambda tx: certificates.listed(tx, None, None, "", 10, seal=seal)
            )
        ]

        assert not ledger.read(
            lambda tx: tx.execute("SELECT 1 FROM nodes WHERE level = 0").fetchall()
        )
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            ledger.write(lambda tx: tx.execute("DELETE FROM nodes"))
        assert list(map(tuple, migrated)) == list(map(tuple, all_of_them))
        assert list(map(tuple, rebuilt)) == list(map(tuple, all_of_them))
        assert listed("BOX 7") == [NUMBER]
        assert listed(shipments()[0]["containers"][0]["seal"]) == [NUMBER]
        assert listed("BOX 8") == []
        plan = ledger.read(
            lambda tx: tx.execute(
                f"EXPLAIN QUERY PLAN SELECT entry FROM certificates WHERE number > '' "
                f"AND entry IN {seals.OF} ORDER BY number LIMIT 10",
                ("BOX 7",),
            ).fetchall()
        )
        assert not any("certificates_number" in row["detail"] for row in plan), list(
            map(tuple, plan)
        )


def test_what_need_not_outlast_a_power_cut_does_not_wait_for_the_disk(ru: OwnAuthority) -> None:
    def how(tx: Transaction) -> int:
        return int(tx.execute("PRAGMA synchronous").fetchone()[0])

    full, normal = 2, 1
    assert ru.ledger.write(how) == full
    assert ru.ledger.write(how, durable=False) == normal
    assert ru.ledger.write(how) == full


def test_there_is_one_sqlite_library() -> None:
    assert sqlite_utils.utils.sqlite3 is sqlite3


def test_the_ledger_knows_its_newest_migration(filled: OwnAuthority) -> None:
    with closing(sqlite3.connect(filled.ledger._path)) as connection:
        database = Database(connection)

        assert migrations.applied(database)[-1].name == NEWEST
        assert not migrations.pending(database)
