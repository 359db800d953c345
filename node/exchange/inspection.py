"""Holding a peer to what it says: its view of the pair, and the inclusion of what it sent."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from node import base64url
from node.authority import OwnAuthority
from node.config import log_origin
from node.exchange import peer_log
from node.ids import Authority
from node.ledger import entries, peers, streams, transport, witness
from node.ledger.database import Transaction
from node.ledger.witness import Seen
from node.log import tree
from node.log.note import Checkpoint, NoteError


@dataclass(frozen=True, slots=True)
class Wanted:
    """A document of the peer to be proven, against the newest checkpoint held."""

    doc_id: str
    index: int
    head: Seen


def wanted(own: OwnAuthority, peer: Authority) -> Wanted | None:
    """The spot check that is due, if any."""

    def query(tx: Transaction) -> Wanted | None:
        check, held = transport.wanted_spot_check(tx, peer), witness.held(tx, peer)
        return None if check is None or held is None else Wanted(*check, held)

    return own.ledger.read(query)


def check_inclusion(
    own: OwnAuthority, peer: Authority, due: Wanted, answer: Mapping[str, Any]
) -> bool:
    """Check a peer's inclusion proof; a wrong one is an incident (rule 7).

    Args:
        own: Who checks.
        peer: Whose log.
        due: What was asked.
        answer: The JSON that came back.

    Returns:
        Whether it holds.
    """
    leaf = tree.entry_leaf(log_origin(peer, own.sandbox), base64url.decode(due.doc_id))
    proof = peer_log.read_proof(answer.get("proof"))
    good = (
        proof is not None
        and answer.get("index") == due.index
        and answer.get("size") == due.head.size
        and answer.get("leaf") == base64url.encode(leaf)
        and tree.verify_inclusion(leaf, due.index, due.head.size, proof, due.head.root)
    )

    def act(tx: Transaction) -> None:
        transport.spot_check_done(tx, peer, due.doc_id)
        if not good:
            evidence = {"doc": due.doc_id, "checkpoint": due.head.note, "answer": dict(answer)}
            detail = f"{due.doc_id} is not proven to be entry {due.index} of the log of {peer}"
            peers.report(tx, peer, "bad-inclusion", "both", detail, evidence, own.now_s())

    own.ledger.write(act)
    return good


def check_position(own: OwnAuthority, peer: Authority, answer: Mapping[str, Any]) -> None:
    """Hold a peer's view of the pair against this ledger (protocol section 5).

    A checkpoint signed by this very log that is not one of this ledger's tree shows that the ledger
    is an old copy: it is taken for the released one, and nothing is signed from then on. Any other
    claim beyond the ledger is an incident at that peer.

    Raises:
        LogBehindError: The ledger is an old copy.
    """
    seen = _own_checkpoint(own, answer.get("witnessed"))

    def act(tx: Transaction) -> bool:
        claims = []
        ours = seen is None or (
            seen.size <= entries.size(tx) and entries.root(tx, seen.size) == seen.root
        )
        if seen is not None and ours:
            peers.update(tx, peer, proven_size=seen.size)
        elif seen is None and _size(answer.get("witnessed")) > entries.size(tx):
            claims.append(f"{peer} claims to have witnessed more of this log than there is")
        if (wrong := _wrong_place(tx, peer, answer.get("received"))) is not None:
            claims.append(wrong)
        for claim in claims:
            peers.report(
                tx, peer, "position-ahead", "both", claim, {"position": dict(answer)}, own.now_s()
            )
        return ours

    if not own.ledger.write(act):
        assert seen is not None
        own.checkpoints.contradict(seen.note)
        own.ledger.read(own.checkpoints.guard)


def _own_checkpoint(own: OwnAuthority, claimed: Any) -> Checkpoint | None:
    if not isinstance(claimed, dict) or not isinstance(claimed.get("note"), str):
        return None
    try:
        return own.checkpoints.read(claimed["note"])
    except NoteError:
        return None


def _wrong_place(tx: Transaction, peer: Authority, received: Any) -> str | None:
    if not isinstance(received, dict) or type(received.get("have")) is not int:
        return None
    have, last = received["have"], streams.sent_place(tx, peer)
    assert last is not None
    if have > last.position:
        return f"{peer} claims position {have}, the last sent is {last.position}"
    mine = streams.sent_place(tx, peer, have) if have >= 0 else None
    if mine is None or base64url.encode(mine.head) != received.get("head"):
        return f"{peer} claims another head at position {have}"
    return None


def _size(claimed: Any) -> int:
    size = claimed.get("size") if isinstance(claimed, dict) else 0
    return size if type(size) is int else 0
