"""The database file: one writer thread, readers, transactions that decide and write at once."""

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

from node import strict_json
from node.errors import ConfigError, LedgerUnavailableError
from node.ledger.sqlite import sqlite3

T = TypeVar("T")
Transaction = sqlite3.Connection
"""What the functions of this room take; opaque to everyone else."""

SAFE_VERSION = (3, 51, 3)
"""Older SQLite can corrupt a WAL database when one connection checkpoints while another commits."""

EACH = "(SELECT value FROM json_each(?))"
"""A set of values as one parameter, made by `each`: ``WHERE doc_id IN {EACH}``."""

NEWEST = "0008-search"
"""The last of `node.ledger.migrations`."""

BUSY_TIMEOUT_S = 30
"""How long a writer waits for another process (a command beside `serve`)."""

READERS, LONG_READERS = 4, 2

GROUP = 64
"""At most so many transactions are committed together."""

_PRAGMAS = (
    "synchronous = FULL", "foreign_keys = ON", "trusted_schema = OFF",
    # Doc ids are random, so are the pages of their indexes; 32 MiB hold those of a year.
    "cache_size = -32768",
    "wal_autocheckpoint = 4000",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Asked:
    act: Callable[[Transaction], Any]
    done: Future[Any]
    durable: bool


class Ledger:
    """Transactions on one database file.

    Writes run one after another on one thread, each inside ``BEGIN IMMEDIATE`` so that what it
    read still holds when it writes; when `write` returns, the effects are durable
    (``synchronous=FULL``). Several processes may share the file.
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
        """
        if not create and not os.path.exists(path):
            raise ConfigError(
                f"{path} is missing; run kpnode init, or restore a backup", code="no-database"
            )
        self._path = path
        self._busy_timeout_s = busy_timeout_s
        self._writer = ThreadPoolExecutor(1, "ledger-writer")
        self._readers = ThreadPoolExecutor(READERS, "ledger-reader")
        self._long_reader = ThreadPoolExecutor(LONG_READERS, "ledger-long-reader")
        self._waiting: SimpleQueue[_Asked] = SimpleQueue()
        self._local = threading.local()
        self._open: list[sqlite3.Connection] = []
        try:
            self._writer.submit(self._prepare).result()
        except sqlite3.DatabaseError as error:
            self.close()
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
        context = copy_context()  # who acts, goes with it
        asked = _Asked(lambda tx: context.run(act, tx), Future(), durable)
        self._waiting.put(asked)
        self._writer.submit(self._write_waiting)
        result: T = asked.done.result()
        return result

    def write_soon(self, act: Callable[[Transaction], None]) -> None:
        """As `write`, but neither waited for nor durable at once; a failure is nobody's business."""
        self._waiting.put(_Asked(act, Future(), durable=False))
        self._writer.submit(self._write_waiting)

    def read(self, query: Callable[[Transaction], T], *, long: bool = False) -> T:
        """Run `query` on one consistent view of the database.

        Args:
            query: What to read.
            long: Whether it may take seconds or minutes; such wait for each other, nobody for them.

        Raises:
            LedgerUnavailableError: The database cannot be read.
        """
        readers = self._long_reader if long else self._readers
        return readers.submit(self._run, query, "BEGIN").result()

    def version(self) -> int:
        """A number that changes when another process has written (``PRAGMA data_version``)."""
        return self._writer.submit(self._data_version).result()

    def close(self) -> None:
        """Wait for what runs, then close every connection."""
        self._writer.shutdown()
        self._readers.shutdown()
        self._long_reader.shutdown()
        for connection in self._open:
            connection.close()

    def _prepare(self) -> None:
        connection = self._connection()
        self._wal = tuple(map(int, sqlite3.sqlite_version.split("."))) >= SAFE_VERSION
        connection.execute(f"PRAGMA journal_mode = {'WAL' if self._wal else 'DELETE'}")
        if not _is_current(connection):
            from sqlite_utils import Database  # late: see node.ledger.sqlite

            from node.ledger.migrations import migrations

            migrations.apply(Database(connection))

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(
                self._path,
                timeout=self._busy_timeout_s,
                isolation_level=None,
                check_same_thread=False,  # closed by `close`, used by its own thread only
            )
            self._open.append(connection)
            connection.row_factory = sqlite3.Row
            for pragma in _PRAGMAS:
                connection.execute(f"PRAGMA {pragma}")
            self._local.connection = connection
        return connection

    def _write_waiting(self) -> None:
        """Run what waits, each in a savepoint of its own, and commit it all at once."""
        group: list[_Asked] = []
        while len(group) < GROUP and not self._waiting.empty():
            group.append(self._waiting.get())
        if not group:
            return  # it was done with those before it
        try:
            results = self._run_group(group)
        except BaseException as error:
            for asked in group:
                asked.done.set_exception(error)
            return
        for asked, (result, failure) in zip(group, results, strict=True):
            if failure is None:
                asked.done.set_result(result)
            else:
                asked.done.set_exception(failure)

    def _run_group(self, group: list[_Asked]) -> list[tuple[Any, BaseException | None]]:
        def acts(tx: Transaction) -> list[tuple[Any, BaseException | None]]:
            return [self._attempt(tx, asked.act) for asked in group]

        if not self._wal or any(asked.durable for asked in group):
            return self._run(acts, "BEGIN IMMEDIATE")
        # The order of commits stays; they reach the disk with the next durable one.
        self._connection().execute("PRAGMA synchronous = NORMAL")
        try:
            return self._run(acts, "BEGIN IMMEDIATE")
        finally:
            self._connection().execute("PRAGMA synchronous = FULL")

    def _attempt(
        self, tx: Transaction, act: Callable[[Transaction], T]
    ) -> tuple[T | None, BaseException | None]:
        """The result of an act, or why it failed and left nothing behind."""
        tx.execute("SAVEPOINT act")
        self._local.writing = tx
        try:
            result = act(tx)
        except BaseException as error:
            if _is_of_the_file(error):
                raise  # SQLite may have undone everything
            tx.execute("ROLLBACK TO act")
            tx.execute("RELEASE act")
            return None, error
        finally:
            self._local.writing = None
        tx.execute("RELEASE act")
        return result, None

    def _run(self, act: Callable[[Transaction], T], begin: str) -> T:
        connection = self._connection()
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

    def _data_version(self) -> int:
        (version,) = self._connection().execute("PRAGMA data_version").fetchone()
        return int(version)


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


def _is_current(connection: sqlite3.Connection) -> bool:
    try:
        found = connection.execute("SELECT 1 FROM _sqlite_migrations WHERE name = ?", (NEWEST,))
        return found.fetchone() is not None
    except sqlite3.OperationalError:
        return False  # a new file has no such table


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
