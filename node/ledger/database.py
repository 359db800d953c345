"""The database file: one writer, readers, transactions that decide and write at once."""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from contextvars import copy_context
from pathlib import Path
from typing import Any, TypeVar

from node import strict_json
from node.errors import ConfigError, LedgerUnavailableError
from node.ledger.readers import Readers
from node.ledger.sqlite import sqlite3

T = TypeVar("T")
Transaction = sqlite3.Connection
"""What the functions of this room take; opaque to everyone else."""

SAFE_VERSION = (3, 51, 3)
"""Older SQLite can corrupt a WAL database when one connection checkpoints while another commits."""

EACH = "(SELECT value FROM json_each(?))"
"""A set of values as one parameter, made by `each`: ``WHERE doc_id IN {EACH}``."""

NEWEST = "0010-papers"
"""The last of `node.ledger.migrations`."""

BUSY_TIMEOUT_S = 30
"""How long a writer waits for another process (a command beside `serve`)."""

READERS, LONG_READERS = 4, 2

GROUP = 64
"""At most so many transactions are committed together."""

CHECKPOINT_PAGES = 4000
"""So many new pages in the WAL are copied into the database beside the work: that waits for the
disk. Where it cannot keep up, the writer does it after four times as many."""

LOOKS_AFTER = 100
"""So many rows changed, it is asked how many pages there are."""

_PRAGMAS = (
    "synchronous = FULL", "foreign_keys = ON", "trusted_schema = OFF",
    # Doc ids are random, so are the pages of their indexes; 32 MiB hold those of a year.
    "cache_size = -32768",
    f"wal_autocheckpoint = {4 * CHECKPOINT_PAGES}",
)  # fmt: skip


_OF_THE_PLACE = (
    "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM",
    "SQLITE_BUSY", "SQLITE_LOCKED",
)  # fmt: skip
"""Errors by which SQLite says that disk or permissions are in the way, not that the file is bad."""


class _Asked:
    """An act that waits, and what came of it once `done`.

    Who asked waits at `told` until it is done, or until it is his turn to do what waits.
    """

    __slots__ = ("act", "done", "durable", "failure", "result", "told")

    def __init__(self, act: Callable[[Transaction], Any], *, durable: bool) -> None:
        self.act = act
        self.durable = durable
        self.done = False
        self.result: Any = None
        self.failure: BaseException | None = None
        self.told = threading.Lock()
        self.told.acquire()


class Ledger:
    """Transactions on one database file.

    One thread writes at a time, for itself and for all that wait meanwhile, inside ``BEGIN
    IMMEDIATE`` so that what was read still holds when it is written; when `write` returns, the
    effects are durable (``synchronous=FULL``). Several processes may share the file.
    """

    def __init__(
        self, path: Path, *, create: bool = False, busy_timeout_s: float = BUSY_TIMEOUT_S
    ) -> None:
        """Open the file and bring its tables up to date.

        Args:
            path: The database.
            create: Whether to make it if it is missing.
            busy_timeout_s: How long to wait for another process that is writing.

        Raises:
            ConfigError: ``no-database`` or ``bad-database``.
            LedgerUnavailableError: Disk or permissions do not let it be opened now.
        """
        if not create and not os.path.exists(path):
            raise ConfigError(
                f"{path} is missing; run kpnode init, or restore a backup", code="no-database"
            )
        self._path = path
        self._busy_timeout_s = busy_timeout_s
        self._waiting: deque[_Asked] = deque()
        self._queue = threading.Lock()  # of what waits, and of who writes
        self._taken = False
        self._connection = threading.Lock()  # the one that writes
        self._tried = 0  # pages in the WAL when it was last to be copied
        self._looked = 0  # rows changed when it was last looked at
        self._closed = False
        self._local = threading.local()
        self._soon = ThreadPoolExecutor(1, "ledger-soon")
        self._readers = Readers(READERS, self._connect)
        self._long_readers = Readers(LONG_READERS, self._connect)
        try:
            self._writing = self._prepare()
        except sqlite3.DatabaseError as error:
            said = getattr(error, "sqlite_errorname", "")
            if said.startswith(_OF_THE_PLACE) and path.is_file():
                raise LedgerUnavailableError(
                    f"{path} cannot be opened now: {error}; free space on its disk, or let this "
                    "user write there. The ledger itself is as it was"
                ) from error
            raise ConfigError(
                f"{path} is no usable database: {error}", code="bad-database"
            ) from error

    def write(self, act: Callable[[Transaction], T], *, durable: bool = True) -> T:
        """Run `act` as one transaction; durable on return, or nothing happened.

        What waits at the same time is committed together: the disk is what takes the time. Inside
        another write, `act` is a part of that one: done with it, or not at all.

        Args:
            act: What to do; its result is returned.
            durable: Whether it must outlast a power cut. What does not may be undone by one, whole,
                together with all that was written after it.

        Raises:
            LedgerUnavailableError: The database is locked for too long, or cannot be written.
        """
        if (outer := getattr(self._local, "writing", None)) is not None:
            return _within(outer, act)
        context = copy_context()  # who acts, goes with it: whoever has the turn does it
        asked = _Asked(lambda tx: context.run(act, tx), durable=durable)
        with self._queue:
            self._waiting.append(asked)
            turn, self._taken = not self._taken, True
        if not turn:
            try:
                asked.told.acquire()
            except BaseException:
                self._soon.submit(self._in_place_of, asked)
                raise
        if not asked.done:
            self._write_waiting()
        if asked.failure is not None:
            raise asked.failure
        result: T = asked.result
        return result

    def write_soon(self, act: Callable[[Transaction], None]) -> None:
        """As `write`, but neither waited for nor durable at once; a failure is nobody's business."""
        self._soon.submit(self.write, act, durable=False)

    def read(self, query: Callable[[Transaction], T], *, long: bool = False) -> T:
        """Run `query` on one consistent view of the database.

        Args:
            query: What to read.
            long: Whether it may take seconds or minutes; such wait for each other, nobody for them.

        Raises:
            LedgerUnavailableError: The database cannot be read.
        """
        with (self._long_readers if long else self._readers).one() as connection:
            return self._run(connection, query, "BEGIN")

    def version(self) -> tuple[int, int]:
        """Numbers of which one changes when another process has written, one when this one has.

        Raises:
            LedgerUnavailableError: The database cannot be read.
        """
        with self._connection:
            try:
                (others,) = self._writing.execute("PRAGMA data_version").fetchone()
            except sqlite3.DatabaseError as error:
                raise LedgerUnavailableError(f"{self._path}: {error}") from error
            return int(others), self._writing.total_changes

    def close(self) -> None:
        """Wait for what runs, then close every connection; who comes later is refused."""
        self._soon.shutdown()
        self._readers.close()
        self._long_readers.close()
        with self._connection:
            self._closed = True
            self._writing.close()

    def _prepare(self) -> sqlite3.Connection:
        self._wal = tuple(map(int, sqlite3.sqlite_version.split("."))) >= SAFE_VERSION
        connection = self._connect()
        try:
            connection.execute(f"PRAGMA journal_mode = {'WAL' if self._wal else 'DELETE'}")
            if not _is_current(connection):
                from sqlite_utils import Database  # late: see node.ledger.sqlite

                from node.ledger.migrations import migrations

                migrations.apply(Database(connection))
        except BaseException:
            connection.close()
            raise
        return connection

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path,
            timeout=self._busy_timeout_s,
            isolation_level=None,
            check_same_thread=False,  # used by one thread after another
        )
        connection.row_factory = sqlite3.Row
        try:
            for pragma in _PRAGMAS:
                connection.execute(f"PRAGMA {pragma}")
        except BaseException:
            connection.close()
            raise
        return connection

    def _write_waiting(self) -> None:
        """In one's turn: run what waits, and commit it all at once; one that fails undoes no other.

        Then the turn goes to the first of those who came meanwhile.
        """
        with self._queue:
            group = [self._waiting.popleft() for _ in range(min(GROUP, len(self._waiting)))]
        try:
            with self._connection:
                self._run_group(group)
                self._copy_soon()
        except Exception as error:
            for asked in group:
                asked.failure = error
        except BaseException:  # Ctrl-C is for this thread
            for asked in group:
                asked.failure = LedgerUnavailableError(f"{self._path}: who wrote was interrupted")
            raise
        finally:
            for asked in group:
                asked.done = True
                asked.told.release()
            with self._queue:
                self._taken = bool(self._waiting)
                if self._taken:
                    self._waiting[0].told.release()

    def _in_place_of(self, asked: _Asked) -> None:
        """Wait as somebody who was interrupted: the turn must not come to nobody."""
        asked.told.acquire()
        if not asked.done:
            self._write_waiting()

    def _copy_soon(self) -> None:
        """Have the WAL copied into the database each time it has grown by `CHECKPOINT_PAGES`."""
        if not self._wal or self._writing.total_changes - self._looked < LOOKS_AFTER:
            return
        self._looked = self._writing.total_changes
        with suppress(sqlite3.Error, RuntimeError):  # what was asked for is done, also at the end
            _, pages, copied = self._writing.execute("PRAGMA wal_checkpoint(NOOP)").fetchone()
            if pages < self._tried:
                self._tried = 0  # it was begun anew
            if pages - max(copied, self._tried) >= CHECKPOINT_PAGES:
                self._tried = pages
                self._soon.submit(self._copy)

    def _copy(self) -> None:
        with closing(self._connect()) as connection:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def _run_group(self, group: list[_Asked]) -> None:
        def acts(tx: Transaction) -> None:
            if len(group) == 1:  # undone with the transaction; a savepoint would copy every page
                self._act(tx, group[0])
            else:
                for asked in group:
                    self._attempt(tx, asked)

        if self._closed:
            raise LedgerUnavailableError(f"{self._path} is closed")
        if not self._wal or any(asked.durable for asked in group):
            return self._run(self._writing, acts, "BEGIN IMMEDIATE")
        # The order of commits stays; they reach the disk with the next durable one.
        try:
            self._writing.execute("PRAGMA synchronous = NORMAL")
            return self._run(self._writing, acts, "BEGIN IMMEDIATE")
        finally:
            self._writing.execute("PRAGMA synchronous = FULL")

    def _attempt(self, tx: Transaction, asked: _Asked) -> None:
        """Do an act, or keep why it failed and left nothing behind."""
        tx.execute("SAVEPOINT act")
        try:
            self._act(tx, asked)
        except Exception as error:
            if _is_of_the_file(error):
                raise  # SQLite may have undone everything
            tx.execute("ROLLBACK TO act")
            asked.failure = error
        tx.execute("RELEASE act")

    def _act(self, tx: Transaction, asked: _Asked) -> None:
        self._local.writing = tx
        try:
            asked.result = asked.act(tx)
        finally:
            self._local.writing = None

    def _run(
        self, connection: sqlite3.Connection, act: Callable[[Transaction], T], begin: str
    ) -> T:
        try:
            connection.execute(begin)
            result = act(connection)
            connection.execute("COMMIT")
        except BaseException as error:
            _roll_back(connection)
            if _is_of_the_file(error):
                raise LedgerUnavailableError(f"{self._path}: {error}; see kpnode doctor") from error
            raise
        return result


def each(values: Iterable[str] | Iterable[int]) -> str:
    """The parameter of `EACH`."""
    return strict_json.dumps(list(values)).decode()


def _within(tx: Transaction, act: Callable[[Transaction], T]) -> T:
    """An act as a part of another: if it fails, it leaves nothing behind."""
    tx.execute("SAVEPOINT part")
    try:
        result = act(tx)
    except BaseException:
        tx.execute("ROLLBACK TO part")
        tx.execute("RELEASE part")
        raise
    tx.execute("RELEASE part")
    return result


def up_to_date(path: Path) -> bool:
    """Whether a file has the tables of this version; what is no ledger needs no change."""
    try:
        uri = f"{path.absolute().as_uri()}?mode=rw"  # makes none
        with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S)) as connection:
            return _is_current(connection)
    except sqlite3.DatabaseError:
        return True


def _is_current(connection: sqlite3.Connection) -> bool:
    tables = "SELECT 1 FROM sqlite_master WHERE name = '_sqlite_migrations'"
    if connection.execute(tables).fetchone() is None:
        return False  # a new file
    found = connection.execute("SELECT 1 FROM _sqlite_migrations WHERE name = ?", (NEWEST,))
    return found.fetchone() is not None


def _is_of_the_file(error: BaseException) -> bool:
    """Whether SQLite says so of the file; the other two are mistakes of ours."""
    ours = (sqlite3.IntegrityError, sqlite3.ProgrammingError)
    return isinstance(error, sqlite3.DatabaseError) and not isinstance(error, ours)


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def sqlite_version() -> str:
    """The version of the SQLite in use."""
    return str(sqlite3.sqlite_version)
