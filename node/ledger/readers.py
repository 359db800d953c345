"""Connections that read a ledger beside the one that writes."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from node.errors import LedgerUnavailableError
from node.ledger.sqlite import sqlite3


class Readers:
    """Connections that read, so many at once, each made when it is first needed."""

    def __init__(self, most: int, connect: Callable[[], sqlite3.Connection]) -> None:
        self._most = most
        self._connect = connect
        self._free = threading.Semaphore(most)
        self._idle: list[sqlite3.Connection] = []
        self._closed = False

    @contextmanager
    def one(self) -> Iterator[sqlite3.Connection]:
        """One of them, once there is room.

        Raises:
            LedgerUnavailableError: It cannot be opened, or no more is read.
        """
        with self._free:
            if self._closed:
                raise LedgerUnavailableError("the ledger is closed")
            try:
                connection = self._idle.pop()
            except IndexError:
                connection = self._new()
            try:
                yield connection
            finally:
                self._idle.append(connection)

    def close(self) -> None:
        """Wait for what reads, then close every connection; who waits is refused."""
        self._closed = True
        for _ in range(self._most):
            self._free.acquire()
        while self._idle:
            self._idle.pop().close()
        self._free.release(self._most)

    def _new(self) -> sqlite3.Connection:
        try:
            return self._connect()
        except sqlite3.DatabaseError as error:
            raise LedgerUnavailableError(f"{error}; see kpnode doctor") from error
