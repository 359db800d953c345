"""After a restore or a loss: whom to ask before signing, and whose word to take for our streams.

A row of `recovery` is a peer that has not been met since. While one is *silent* nothing is signed:
it might hold a checkpoint that this ledger lacks. Once the operator has let the node go on, what
the peer says it holds of the stream to it is taken for the place to continue at.
"""

from collections.abc import Iterable

from node import base64url
from node.ids import DIGEST
from node.ledger import peers, streams
from node.ledger.database import EACH, Transaction, each
from node.log.chain import Place

NOBODY = ""
"""Stands for peers that cannot be asked; only an operator can answer for them."""


def await_word(tx: Transaction, asked: Iterable[str]) -> None:
    """A backup was restored: sign nothing before these peers have answered."""
    tx.execute("DELETE FROM recovery")
    rows = [(peer,) for peer in asked] or [(NOBODY,)]
    tx.executemany("INSERT INTO recovery (peer, silent) VALUES (?, 1)", rows)


def silent(tx: Transaction) -> list[str]:
    """Who has to be asked before anything is signed."""
    rows = tx.execute("SELECT peer FROM recovery WHERE silent = 1 ORDER BY peer")
    return [row["peer"] for row in rows]


def answered(tx: Transaction, peer: str) -> None:
    """A silent peer holds nothing that this ledger lacks."""
    tx.execute("DELETE FROM recovery WHERE peer = ? AND silent = 1", (peer,))


def let_go_on(tx: Transaction, met: Iterable[str]) -> None:
    """The operator answers for everyone; the streams continue where each peer says it is."""
    tx.execute("DELETE FROM recovery")
    tx.executemany("INSERT INTO recovery (peer, silent) VALUES (?, 0)", [(peer,) for peer in met])


def take_place(tx: Transaction, peer: str, theirs: Place, at_s: int) -> bool:
    """Continue the stream to a peer at the place it holds, if it may be taken at its word.

    What it had not acknowledged is queued anew after that place. It is used up: the next
    disagreement is a fork again.

    Returns:
        Whether its word was taken.
    """
    state = peers.state(tx, peer)
    assert state is not None
    if theirs.position < state.acknowledged or not theirs.head:
        return False
    used = tx.execute("DELETE FROM recovery WHERE peer = ? AND silent = 0", (peer,))
    if used.rowcount == 0 or streams.sent_place(tx, peer, theirs.position) == theirs:
        return used.rowcount > 0
    unsure = _announcements_first(tx, streams.waiting_ids(tx, peer, state.acknowledged))
    streams.continue_at(tx, peer, state.acknowledged, theirs, at_s)
    streams.enqueue(tx, peer, unsure, at_s)
    # It has refused what it was shown of this log, if it was shown any.
    peers.update(
        tx, peer, acknowledged=theirs.position, in_flight=None, proven_size=0, shown_size=0
    )
    return True


def _announcements_first(tx: Transaction, doc_ids: list[str]) -> list[str]:
    """Nothing is taken of a log that was not announced."""
    rows = tx.execute(
        f"SELECT doc_id FROM documents WHERE doc_id IN {EACH} AND typ = 'vnd.kp.succession.v1+jwt'",
        (each(doc_ids),),
    )
    first = {row["doc_id"] for row in rows}
    return sorted(doc_ids, key=lambda doc_id: doc_id not in first)


def place_of(stream: object) -> Place | None:
    """``{have, head}`` as a peer has it; with an empty head where that is none; None without have."""
    if not isinstance(stream, dict) or type(stream.get("have")) is not int or stream["have"] < 0:
        return None
    head = stream.get("head")
    known = isinstance(head, str) and DIGEST.fullmatch(head)
    return Place(stream["have"], base64url.decode(str(head)) if known else b"")
