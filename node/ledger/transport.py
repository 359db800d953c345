"""Manifests sent, receipts given and held, tokens seen: what makes the exchange idempotent."""

from dataclasses import dataclass

from node.ledger.database import Transaction


@dataclass(frozen=True, slots=True)
class Sent:
    """A manifest made for a peer, and the positions it covers."""

    manifest: str
    peer: str
    jws: bytes
    first: int
    last: int


def keep_manifest(tx: Transaction, sent: Sent, at_s: int) -> None:
    """Keep a manifest before it leaves."""
    tx.execute(
        "INSERT INTO sent (manifest, peer, jws, first, last, made_at) VALUES (?, ?, ?, ?, ?, ?)",
        (sent.manifest, sent.peer, sent.jws, sent.first, sent.last, at_s),
    )


def manifest(tx: Transaction, doc_id: str) -> Sent | None:
    """A manifest by its doc id."""
    row = tx.execute(
        "SELECT manifest, peer, jws, first, last FROM sent WHERE manifest = ?", (doc_id,)
    ).fetchone()
    return None if row is None else Sent(*row)


def manifests_with_documents(tx: Transaction, peer: str) -> list[Sent]:
    """Manifests to a peer that named documents and have a receipt, oldest first."""
    rows = tx.execute(
        "SELECT s.manifest, s.peer, s.jws, s.first, s.last FROM sent s JOIN receipts r "
        "ON r.manifest = s.manifest WHERE s.peer = ? AND s.last >= s.first ORDER BY s.first",
        (peer,),
    )
    return [Sent(*row) for row in rows]


def drop_unanswered(tx: Transaction, peer: str) -> None:
    """Forget manifests to a peer that have no receipt and are about to be replaced."""
    tx.execute(
        "DELETE FROM sent WHERE peer = ? AND manifest NOT IN (SELECT manifest FROM receipts)",
        (peer,),
    )


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


def spot_check_done(tx: Transaction, peer: str, doc_id: str) -> None:
    """Forget a check that was answered."""
    tx.execute("DELETE FROM spot_checks WHERE peer = ? AND doc_id = ?", (peer, doc_id))
