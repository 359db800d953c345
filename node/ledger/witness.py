"""The peers' logs as this node has seen them: every checkpoint, the newest being the held one."""

from dataclasses import dataclass

from node.ledger.database import Transaction


@dataclass(frozen=True, slots=True)
class Seen:
    """A checkpoint of a peer's log as it was received; `log` is 1, or that of a successor log."""

    size: int
    root: bytes
    note: str
    log: int = 1


_SEEN = "SELECT size, root, note, log FROM seen_checkpoints WHERE peer = ?"


def held(tx: Transaction, peer: str) -> Seen | None:
    """The newest checkpoint of a peer's newest log."""
    row = tx.execute(f"{_SEEN} ORDER BY log DESC, size DESC LIMIT 1", (peer,)).fetchone()
    return None if row is None else _seen(row)


def seen(tx: Transaction, peer: str, log: int, size: int) -> Seen | None:
    """The checkpoint of a peer's log seen at a size."""
    row = tx.execute(f"{_SEEN} AND log = ? AND size = ?", (peer, log, size)).fetchone()
    return None if row is None else _seen(row)


def keep(tx: Transaction, peer: str, checkpoint: Seen, at_s: int) -> None:
    """Keep a checkpoint whose signature and consistency were checked."""
    tx.execute(
        "INSERT OR IGNORE INTO seen_checkpoints (peer, log, size, root, note, at) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        (peer, checkpoint.log, checkpoint.size, checkpoint.root, checkpoint.note, at_s),
    )


def _seen(row: tuple[int, bytes, str, int]) -> Seen:
    size, root, note, log = row
    return Seen(size, bytes(root), note, log)
