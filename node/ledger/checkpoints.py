"""This log's checkpoints: signed from the tree, stored, and released outside the database.

A checkpoint that has left may never be contradicted. So the last one let out is also kept in a
file of its own, and where that file is ahead of the ledger (a restored backup), nothing is signed.
"""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from node.errors import LogBehindError
from node.ledger import entries
from node.ledger.database import Transaction
from node.log import note, tree
from node.log.note import Check, Checkpoint, NoteError, Sign


class CheckpointKeeper:
    """Signs and releases the checkpoints of one log.

    Args:
        origin: The log's origin.
        public: Its newest public key, 32 bytes; the one that signs.
        sign: Signs bytes with it.
        keys: All public keys the log has had, each with a check of signatures by it.
        released: The file that keeps the last checkpoint let out.
    """

    def __init__(
        self,
        origin: str,
        public: bytes,
        sign: Sign,
        keys: Sequence[tuple[bytes, Check]],
        released: Path,
    ) -> None:
        self.origin = origin
        self._public = public
        self._sign = sign
        self._keys = keys
        self._released = released
        self._contradicting = released.with_name("contradicting-checkpoint")
        self._sound: str | None = None  # the released note that was found in the tree

    def guard(self, tx: Transaction) -> None:
        """Refuse to go on where the ledger lacks entries it has vouched for (protocol section 5).

        Raises:
            LogBehindError: A checkpoint that has left is not one of this tree, or its file cannot
                be read.
        """
        for path in (self._released, self._contradicting):
            text = _read(path)
            if text is not None and text != self._sound:
                self._check_in_tree(tx, path, text)
                self._sound = text

    def _check_in_tree(self, tx: Transaction, path: Path, text: str) -> None:
        try:
            released = self.read(text)
        except NoteError as error:
            raise LogBehindError(
                f"{path} is damaged ({error}); restore it, the ledger may be a copy"
            ) from None
        size = entries.size(tx)
        try:
            good = released.size <= size and entries.root(tx, released.size) == released.root
        except LookupError as error:
            raise LogBehindError(f"the ledger is damaged: {error}") from None
        if not good:
            raise LogBehindError(
                f"this ledger has {size} entries, but a checkpoint of {released.size} has left it: "
                "it is an old copy or was changed; nothing is signed until the lost entries are back"
            )

    def current(self, tx: Transaction, at_s: int) -> Checkpoint:
        """The checkpoint of the tree as it stands in this transaction, signed if it is new."""
        size = entries.size(tx)
        row = tx.execute("SELECT root, note FROM checkpoints WHERE size = ?", (size,)).fetchone()
        if row is not None:
            return Checkpoint(self.origin, size, bytes(row["root"]), row["note"])
        root = tree.root(size, entries.node_getter(tx))
        made = note.sign_checkpoint(self.origin, size, root, self._public, self._sign)
        tx.execute(
            "INSERT INTO checkpoints (size, root, note, signed_at) VALUES (?, ?, ?, ?)",
            (size, root, made.note, at_s),
        )
        return made

    def release(self, text: str) -> None:
        """Make durable that this checkpoint is about to leave; call it after the commit.

        Args:
            text: The note of a checkpoint of this log.

        Raises:
            LogBehindError, NoteError: The file of the last one cannot be read.
        """
        with _locked(self._released.parent):  # other processes of this node release, too
            before = _read(self._released)
            if before is not None and self.read(before).size >= self.read(text).size:
                return
            _write(self._released, text)
        if self._sound == before:
            self._sound = text

    def contradict(self, text: str) -> None:
        """Keep a checkpoint of this log, come back from a peer, that is not one of this tree.

        `guard` refuses from then on.
        """
        with _locked(self._released.parent):
            _write(self._contradicting, text)

    def read(self, text: str) -> Checkpoint:
        """Parse a checkpoint of this very log.

        Raises:
            NoteError: It is none, or not signed by this log's key.
        """
        return note.read_checkpoint(text, self.origin, self._keys)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path) -> str | None:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise LogBehindError(
            f"{path} cannot be read ({error}); restore it, the ledger may be a copy"
        ) from None


def _write(path: Path, text: str) -> None:
    fresh = path.with_suffix(".new")
    with fresh.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def all_checkpoints(tx: Transaction) -> list[Checkpoint]:
    """Every stored checkpoint, by size."""
    rows = tx.execute("SELECT size, root, note FROM checkpoints ORDER BY size")
    return [Checkpoint(n.partition("\n")[0], size, bytes(root), n) for size, root, n in rows]
