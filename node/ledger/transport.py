"""Manifests sent, receipts given and held, tokens seen: what makes the exchange idempotent."""

from dataclasses import dataclass

from node.ledger.database import Transaction


@dataclass(frozen=True, slots=True)
class Sent:
    """A manifest made for a peer, and the positions it covers.

    Attributes:
        until: It may be sent, and its receipt counts, until this second.
        carried: Whether it has what a carried bundle needs: a long life, and proofs.
        made_at: When it was signed; set when it is read.
    """

    manifest: str
    peer: str
    jws: bytes
    first: int
    last: int
    until: int
    carried: bool = False
    made_at: int = 0


_SENT = (
    "SELECT s.manifest, s.peer, s.jws, s.first, s.last, s.until, s.carried, s.made_at FROM sent s"
)


def keep_manifest(tx: Transaction, sent: Sent, at_s: int) -> None:
    """Keep a manifest before it leaves."""
    tx.execute(
        "INSERT INTO sent (manifest, peer, jws, first, last, made_at, until, carried) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (sent.manifest, sent.peer, sent.jws, sent.first, sent.last, at_s, sent.until,
         int(sent.carried)),
    )  # fmt: skip


def forget_unanswered(tx: Transaction, peer: str, until_s: int) -> None:
    """Manifests to a peer that expired before a second without a receipt go."""
    tx.execute(
        "DELETE FROM sent WHERE peer = ? AND until < ? "
        "AND manifest NOT IN (SELECT manifest FROM receipts)",
        (peer, until_s),
    )


def last_offered(tx: Transaction, peer: str) -> int:
    """The last position of the stream to a peer that a manifest kept here has named; 0 for none."""
    (last,) = tx.execute("SELECT max(last) FROM sent WHERE peer = ?", (peer,)).fetchone()
    return int(last or 0)


def manifest(tx: Transaction, doc_id: str) -> Sent | None:
    """A manifest by its doc id."""
    row = tx.execute(f"{_SENT} WHERE s.manifest = ?", (doc_id,)).fetchone()
    return None if row is None else _sent(row)


def manifests_with_documents(tx: Transaction, peer: str) -> list[Sent]:
    """Manifests to a peer that named documents and have a receipt, oldest first."""
    rows = tx.execute(
        f"{_SENT} JOIN receipts r ON r.manifest = s.manifest "
        "WHERE s.peer = ? AND s.last >= s.first ORDER BY s.first",
        (peer,),
    )
    return [_sent(row) for row in rows]


def _sent(row: tuple[str, str, bytes, int, int, int, int, int]) -> Sent:
    manifest_id, peer, jws, first, last, until, carried, made_at = row
    return Sent(manifest_id, peer, jws, first, last, until, bool(carried), made_at)


def keep_receipt(
    tx: Transaction, direction: str, peer: str, manifest_id: str, jws: bytes, at_s: int,
    until_s: int | None,
) -> None:  # fmt: skip
    """Keep a receipt, ``given`` or ``held``.

    Args:
        tx: The transaction.
        direction: Who gave it.
        peer: The other side.
        manifest_id: What it answers.
        jws: The receipt.
        at_s: Now.
        until_s: When it may go: a receipt without results, once its manifest has expired. None
            is for ever.
    """
    tx.execute("DELETE FROM receipts WHERE until < ?", (at_s,))
    tx.execute(
        "INSERT INTO receipts (manifest, peer, direction, jws, at, until) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        (manifest_id, peer, direction, jws, at_s, until_s),
    )


def receipt(tx: Transaction, peer: str, manifest_id: str) -> bytes | None:
    """The receipt for a manifest from or to a peer."""
    row = tx.execute(
        "SELECT jws FROM receipts WHERE manifest = ? AND peer = ?", (manifest_id, peer)
    ).fetchone()
    return None if row is None else bytes(row["jws"])


def keep_bridge(tx: Transaction, manifest_id: str, jws: bytes) -> None:
    """Keep what goes with a carried receipt (`node.exchange.carry`)."""
    tx.execute("UPDATE receipts SET bridge = ? WHERE manifest = ?", (jws, manifest_id))


def bridge(tx: Transaction, manifest_id: str) -> bytes | None:
    """What goes with the receipt for a manifest, if anything does."""
    row = tx.execute("SELECT bridge FROM receipts WHERE manifest = ?", (manifest_id,)).fetchone()
    return None if row is None or row["bridge"] is None else bytes(row["bridge"])


def use_token(tx: Transaction, iss: str, jti: str, now_s: int, until_s: int) -> bool:
    """Count a request token; False if it was counted before."""
    tx.execute("DELETE FROM tokens WHERE until < ?", (now_s,))
    done = tx.execute(
        "INSERT OR IGNORE INTO tokens (iss, jti, until) VALUES (?, ?, ?)", (iss, jti, until_s)
    )
    return done.rowcount == 1


def want_spot_check(tx: Transaction, peer: str, doc_id: str, index: int) -> None:
    """Remember to check one document's inclusion in the sender's log."""
    tx.execute(
        "INSERT OR IGNORE INTO spot_checks (peer, doc_id, idx) VALUES (?, ?, ?)",
        (peer, doc_id, index),
    )


def wanted_spot_check(tx: Transaction, peer: str) -> tuple[str, int] | None:
    """A document whose inclusion is to be checked: (doc id, index in the sender's log)."""
    row = tx.execute(
        "SELECT doc_id, idx FROM spot_checks WHERE peer = ? LIMIT 1", (peer,)
    ).fetchone()
    return None if row is None else (row["doc_id"], row["idx"])


def forget_spot_checks(tx: Transaction, peer: str) -> None:
    """The log they were about has ended."""
    tx.execute("DELETE FROM spot_checks WHERE peer = ?", (peer,))


def spot_check_done(tx: Transaction, peer: str, doc_id: str) -> None:
    """Forget a check that was answered."""
    tx.execute("DELETE FROM spot_checks WHERE peer = ? AND doc_id = ?", (peer, doc_id))
