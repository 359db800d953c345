"""This log's checkpoints: signed from the tree, stored, and released outside the database.

A checkpoint that has left may never be contradicted. So the last one let out is also kept in a
file of its own, and where that file is ahead of the ledger (a restored backup), nothing is signed.
"""

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from node import durable_file
from node.config import successor_origin
from node.errors import LogBehindError
from node.ledger import entries, recovery, released
from node.ledger.database import Transaction
from node.log import note, tree
from node.log.note import Check, Checkpoint, NoteError, Sign

Signing = Callable[[], tuple[bytes, Sign]]
"""Tells a log's key that signs now: its public part, 32 bytes, and what signs bytes with it."""


class CheckpointKeeper:
    """Signs and releases the checkpoints of one log.

    Args:
        first: The origin of this node's first log.
        number: Which of its logs this is; successors have the origins ``first/2`` and so on.
        signing: Tells the key that signs now.
        keys: All public keys the log has had, each with a check of signatures by it.
        good: Those of them that are not revoked.
        file: It keeps the last checkpoint let out (`node.ledger.released`).
    """

    def __init__(
        self,
        first: str,
        number: int,
        signing: Signing,
        keys: Sequence[tuple[bytes, Check]],
        good: Sequence[bytes],
        file: Path,
    ) -> None:
        self._first = first
        self.number = number
        self._signing = signing
        self._keys = keys
        self._good = good
        self._released = file
        self._contradicting = file.with_name("contradicting-checkpoint")
        self._durable: str | None = None  # the released note that is known to be on the disk
        self._sound: str | None = None  # the released note that was found in the tree
        self._looked_at: dict[Path, tuple[int, ...]] = {}  # files, as `_identity` tells them
        self._read = lru_cache(maxsize=16)(self._read_anew)  # the same few are read again and again

    def take_keys(
        self, signing: Signing, keys: Sequence[tuple[bytes, Check]], good: Sequence[bytes]
    ) -> None:
        """Sign with other keys from now on; arguments are those of the class."""
        self._signing, self._keys, self._good = signing, keys, good
        self._read.cache_clear()

    @property
    def origin(self) -> str:
        """The log's origin."""
        return successor_origin(self._first, self.number)

    def guard(self, tx: Transaction) -> None:
        """Refuse to go on where the ledger lacks entries it has vouched for (protocol section 5).

        Raises:
            LogBehindError: A checkpoint that has left is not one of this tree, or its file cannot
                be read; or a backup was restored, and peers have not yet said what they hold.
        """
        for path in (self._released, self._contradicting):
            found = _identity(path)
            if found is None or self._looked_at.get(path) == found:
                continue
            text = released.last(path)
            if text is not None and text != self._sound:
                self._check_in_tree(tx, path, text)
                self._sound = text
            self._looked_at[path] = found
        if asked := recovery.silent(tx):
            who = ", ".join(asked) if asked != [recovery.NOBODY] else "no peer that can be called"
            raise LogBehindError(
                f"restored from a backup; nothing is signed until this node has heard what its "
                f"peers hold of its log (still to be asked: {who}), or you say why it may go on: "
                "kpnode ledger resume --because TEXT"
            )

    def beyond(self, tx: Transaction) -> list[Checkpoint]:
        """Checkpoints, let out or come back, of this log or a later one that the ledger lacks."""
        found = []
        for path in (self._released, self._contradicting):
            with suppress(NoteError):
                text = released.last(path)
                if text is not None and not self.of_earlier(text):
                    checkpoint = self.read_any(text)
                    if not self.is_ours(tx, checkpoint):
                        found.append(checkpoint)
        return found

    def is_ours(self, tx: Transaction, checkpoint: Checkpoint) -> bool:
        """Whether a checkpoint is one of this tree."""
        size = entries.size(tx)
        return (
            checkpoint.origin == self.origin
            and checkpoint.size <= size
            and entries.root(tx, checkpoint.size) == checkpoint.root
        )

    def succeed(self, number: int) -> None:
        """Sign for a successor log from now on; the present one has ended."""
        self.number = number

    def set_aside(self) -> None:
        """Keep the files of a log that has ended apart, once its successor is recorded."""
        with _locked(self._released.parent):
            for path in (self._released, self._contradicting):
                text = released.last(path)
                if text is not None:
                    log, size = self._number_of(text) or 0, text.split("\n")[1:2]
                    end = f"of-log-{log}-size-{''.join(size)[:16]}"
                    path.replace(path.with_name(f"{path.name}-{end}"))
            durable_file.sync(self._released.parent)
        self._sound = None
        self._looked_at = {}

    def of_earlier(self, text: str) -> bool:
        """Whether a note is of a log of this node that has ended; its signature is not checked."""
        number = self._number_of(text)
        return number is not None and number < self.number

    def number_of(self, checkpoint: Checkpoint) -> int:
        """Which of this node's logs a checkpoint is of."""
        return self._number_of(checkpoint.note) or 0

    def _number_of(self, text: str) -> int | None:
        origin = text.partition("\n")[0]
        if origin == self._first:
            return 1
        end = origin.removeprefix(f"{self._first}/")
        plain = end != origin and end.isascii() and end.isdigit() and end[0] != "0" and len(end) < 7
        return int(end) if plain and end != "1" else None

    def _check_in_tree(self, tx: Transaction, path: Path, text: str) -> None:
        if self.of_earlier(text):
            return
        try:
            left = self.read_any(text)
        except NoteError as error:
            raise LogBehindError(
                f"{path} is damaged ({error}); restore it, the ledger may be a copy"
            ) from None
        try:
            good = self.is_ours(tx, left)
        except LookupError as error:
            raise LogBehindError(f"the ledger is damaged: {error}") from None
        if not good:
            raise LogBehindError(
                f"this ledger has {entries.size(tx)} entries, but a checkpoint of {left.size} "
                f"entries of {left.origin} has left it: it is an old copy or was changed; nothing is signed until the newest "
                "database is back, or, if it is lost: kpnode ledger resume --because TEXT"
            )

    def current(self, tx: Transaction, at_s: int) -> Checkpoint:
        """The checkpoint of the tree as it stands in this transaction, signed if it is new."""
        size = entries.size(tx)
        row = tx.execute("SELECT root, note FROM checkpoints WHERE size = ?", (size,)).fetchone()
        if row is not None and self.counts(row["note"]):
            return Checkpoint(self.origin, size, bytes(row["root"]), row["note"])
        root = tree.root(size, entries.node_getter(tx))
        made = note.sign_checkpoint(self.origin, size, root, *self._signing())
        tx.execute(
            "INSERT OR IGNORE INTO checkpoints (size, root, note, signed_at) VALUES (?, ?, ?, ?)",
            (size, root, made.note, at_s),
        )
        return made

    def counts(self, text: str) -> bool:
        """Whether a note of ours is signed by a key that is not revoked."""
        return note.signed_by(text, self.origin, self._good)

    def release(self, text: str) -> None:
        """Make durable that this checkpoint is about to leave; call it after the commit.

        Args:
            text: The note of a checkpoint of this log.

        Raises:
            LogBehindError, NoteError: The file of the last one cannot be read.
        """
        with _locked(self._released.parent):  # other processes of this node release, too
            before = released.last(self._released)
            known = before if before is not None and not self.of_earlier(before) else None
            if known is not None and self.read(known).size >= self.read(text).size:
                if known != self._durable:  # another process may have been killed as it wrote it
                    durable_file.sync(self._released)
                    self._durable = known
                return
            released.add(self._released, text)
            self._durable = text
        if self._sound == before:
            self._sound = text

    def contradict(self, text: str) -> None:
        """Keep a checkpoint of this log, come back from a peer, that is not one of this tree.

        `guard` refuses from then on.
        """
        with _locked(self._released.parent):
            durable_file.write(self._contradicting, text.encode())

    def read(self, text: str) -> Checkpoint:
        """Parse a checkpoint of this very log.

        Raises:
            NoteError: It is none, or not signed by this log's key.
        """
        return self._read(text, self.origin)

    def read_any(self, text: str) -> Checkpoint:
        """Parse a checkpoint of any log of this node.

        Raises:
            NoteError: It is none, or not signed by this node's log key.
        """
        number = self._number_of(text)
        origin = self.origin if number is None else successor_origin(self._first, number)
        return self._read(text, origin)

    def _read_anew(self, text: str, origin: str) -> Checkpoint:
        return note.read_checkpoint(text, origin, self._keys)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _identity(path: Path) -> tuple[int, ...] | None:
    """What changes whenever a file is replaced or written; None if there is none."""
    try:
        told = os.stat(path)
    except FileNotFoundError:
        return None
    except OSError:
        return ()  # reading it says why
    return told.st_ino, told.st_size, told.st_mtime_ns, told.st_ctime_ns


@dataclass(frozen=True, slots=True)
class Signed:
    """When a checkpoint of which size was signed; `note` is its text."""

    size: int
    signed_at: int
    note: str


def newest(tx: Transaction) -> Signed | None:
    """The largest checkpoint that was signed."""
    row = tx.execute(
        "SELECT size, signed_at, note FROM checkpoints ORDER BY size DESC LIMIT 1"
    ).fetchone()
    return None if row is None else Signed(*row)


def all_checkpoints(tx: Transaction) -> list[Checkpoint]:
    """Every stored checkpoint, by size."""
    rows = tx.execute("SELECT size, root, note FROM checkpoints ORDER BY size")
    return [Checkpoint(n.partition("\n")[0], size, bytes(root), n) for size, root, n in rows]
