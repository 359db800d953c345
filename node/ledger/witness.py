"""The peers' logs as this node has seen them: every checkpoint, the newest being the held one."""

from dataclasses import dataclass

from node.ledger.database import Transaction


@dataclass(frozen=True, slots=True)
class Seen:
    """A checkpoint of a peer's log as it was received."""

    size: int
    root: bytes
    note: str


def held(tx: Transaction, peer: str) -> Seen | None:
    """The newest checkpoint of a peer's log."""
    row = tx.execute(
        "SELECT size, root, note FROM seen_checkpoints WHERE peer = ? ORDER BY size DESC LIMIT 1",
        (peer,),
    ).fetchone()
    return None if row is None else Seen(row["size"], bytes(row["root"]), row["note"])


def seen(tx: Transaction, peer: str, size: int) -> Seen | None:
    """The checkpoint of a peer's log seen at a size."""
    row = tx.execute(
        "SELECT size, root, note FROM seen_checkpoints WHERE peer = ? AND size = ?", (peer, size)
    ).fetchone()
    return None if row is None else Seen(row["size"], bytes(row["root"]), row["note"])


def keep(tx: Transaction, peer: str, checkpoint: Seen, at_s: int) -> None:
    """Keep a checkpoint whose signature and consistency were checked."""
    tx.execute(
        "INSERT OR IGNORE INTO seen_checkpoints (peer, size, root, note, at) VALUES (?, ?, ?, ?, ?)",
        (peer, checkpoint.size, checkpoint.root, checkpoint.note, at_s),
    )
