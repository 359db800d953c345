"""This log's checkpoints: signed from the tree, stored, and released outside the database.

A checkpoint that has left may never be contradicted. So the last one let out is also kept in a
file of its own, and where that file is ahead of the ledger (a restored backup), nothing is signed.
"""

import fcntl
import os
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
        public: Its public key, 32 bytes.
        sign: Signs bytes with the log key.
        check: Checks a signature by the log key.
        released: The file that keeps the last checkpoint let out.
    """

    def __init__(self, origin: str, public: bytes, sign: Sign, check: Check, released: Path):
        self.origin = origin
        self._public = public
        self._sign = sign
        self._check = check
        self._released = released
        self._sound = ""  # the released note that was found in the tree

    def guard(self, tx: Transaction) -> None:
        """Refuse to go on where the ledger lacks entries it has vouched for (protocol section 5).

        Raises:
            LogBehindError: The released checkpoint is not one of this tree.
        """
        text = self._read_released()
        if text in ("", self._sound):
            return
        try:
            released = self.read(text)
        except NoteError as error:
            raise LogBehindError(
                f"{self._released} is damaged ({error}); restore it, the ledger may be a copy"
            ) from None
        size = entries.size(tx)
        if released.size > size or entries.root(tx, released.size) != released.root:
            raise LogBehindError(
                f"this ledger has {size} entries, but a checkpoint of {released.size} has left it: "
                "it is an old copy or was changed; nothing is signed until the lost entries are back"
            )
        self._sound = text

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
        """
        self._keep(text, only_larger=True)

    def remember(self, text: str) -> None:
        """Take a checkpoint that came back from a peer for the released one.

        Args:
            text: A note signed by this log that is not one of this tree; `guard` refuses from then on.
        """
        self._keep(text, only_larger=False)

    def _keep(self, text: str, *, only_larger: bool) -> None:
        folder = os.open(self._released.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)  # other processes of this node release, too
            before = self._read_released()
            if only_larger and before and self.read(before).size >= self.read(text).size:
                return
            fresh = self._released.with_suffix(".new")
            with fresh.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._released)
            os.fsync(folder)
            if only_larger and self._sound == before:
                self._sound = text
        finally:
            os.close(folder)

    def read(self, text: str) -> Checkpoint:
        """Parse a checkpoint of this very log.

        Raises:
            NoteError: It is none, or not signed by this log's key.
        """
        return note.read_checkpoint(text, self.origin, [(self._public, self._check)])

    def _read_released(self) -> str:
        try:
            return self._released.read_text("utf-8")
        except FileNotFoundError:
            return ""


def newest(tx: Transaction) -> Checkpoint | None:
    """The newest stored checkpoint."""
    row = tx.execute(
        "SELECT size, root, note FROM checkpoints ORDER BY size DESC LIMIT 1"
    ).fetchone()
    if row is None:
        return None
    origin = row["note"].partition("\n")[0]
    return Checkpoint(origin, row["size"], bytes(row["root"]), row["note"])


def all_checkpoints(tx: Transaction) -> list[Checkpoint]:
    """Every stored checkpoint, by size."""
    rows = tx.execute("SELECT size, root, note FROM checkpoints ORDER BY size")
    return [Checkpoint(n.partition("\n")[0], size, bytes(root), n) for size, root, n in rows]
