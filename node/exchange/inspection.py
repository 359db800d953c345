"""Holding a peer to what it says: its view of the pair, and the inclusion of what it sent."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from node import base64url
from node.authority import OwnAuthority
from node.config import log_origin
from node.errors import ConfigError
from node.exchange import peer_log
from node.ids import Authority
from node.jose.keys import KeySet, read_key_set
from node.ledger import entries, peers, recovery, streams, transport, witness
from node.ledger.database import Transaction
from node.ledger.witness import Seen
from node.log import tree
from node.log.chain import Place
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
    origin = log_origin(peer, own.sandbox, due.head.log)
    leaf = tree.entry_leaf(origin, base64url.decode(due.doc_id))
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


def check_keys(own: OwnAuthority, peer: Authority, published: bytes) -> None:
    """Compare the key set a peer publishes with the pinned one; it never replaces it.

    What is no key set of the peer says nothing. Another set is an incident: the peer has new keys,
    or someone answers in its place.
    """
    try:
        found = read_key_set(published)
    except ConfigError:
        return
    pinned, now_s = own.book.ring[peer], own.now_s()
    if found.authority != peer:
        return

    def act(tx: Transaction) -> None:
        if _by_kid(found) == _by_kid(pinned):
            same = "the pinned set is published again"
            peers.resolve(tx, peer, same, now_s, code="keys-changed", direction="in")
            return
        detail = f"pinned {pinned.fingerprint}, {peer} now publishes {found.fingerprint}"
        if found.fingerprint == pinned.fingerprint:
            detail = f"{peer} publishes the pinned keys with other dates: retired, or revoked"
        evidence = {"pinned": pinned.as_json(), "found": found.as_json()}
        peers.report(tx, peer, "keys-changed", "in", detail, evidence, now_s)

    own.ledger.write(act)


def _by_kid(keys: KeySet) -> dict[str, dict[str, Any]]:
    return {kid: dict(key.jwk) for kid, key in keys.keys.items()}


def check_position(own: OwnAuthority, peer: Authority, answer: Mapping[str, Any]) -> None:
    """Hold a peer's view of the pair against this ledger (protocol section 5).

    A checkpoint signed by this very log that is not one of this ledger's tree shows that the ledger
    is an old copy: it is taken for the released one, and nothing is signed from then on. Any other
    claim beyond the ledger is an incident at that peer; but a node that was let go on after a loss
    takes the place that the peer holds for its own.

    Raises:
        LogBehindError: The ledger is an old copy.
    """
    seen = _own_checkpoint(own, answer.get("witnessed"))
    place, now_s = recovery.place_of(answer.get("received")), own.now_s()
    evidence = {"position": dict(answer)}

    def act(tx: Transaction) -> bool:
        report = partial(peers.report, tx, peer, "position-ahead", "both")
        ours = seen is None or own.checkpoints.is_ours(tx, seen)
        if not ours:
            report(
                f"{peer} holds a checkpoint of this log that is not of this ledger: "
                f"{seen and seen.size} entries of {seen and seen.origin}, "
                f"the ledger has {entries.size(tx)}",
                evidence | {"own": {"size": entries.size(tx), "root": _root(tx)}},
                now_s,
            )
            return False
        taken = place is not None and recovery.take_place(tx, peer, place, now_s)
        if place is not None and not taken:
            if wrong := _wrong_place(tx, peer, place):
                report(wrong, evidence, now_s)
            else:
                _go_back(tx, peer, place)
        if seen is not None:
            peers.update(tx, peer, proven_size=seen.size)
        elif _claimed(own, answer.get("witnessed")) > entries.size(tx):
            report(
                f"{peer} claims to have witnessed more of this log than there is", evidence, now_s
            )
        recovery.answered(tx, peer)
        return True

    if not own.ledger.write(act):
        assert seen is not None
        own.checkpoints.contradict(seen.note)
        own.ledger.read(own.checkpoints.guard)


def _own_checkpoint(own: OwnAuthority, claimed: Any) -> Checkpoint | None:
    """The checkpoint a peer holds, if it is one of this node's present or a later log."""
    if not isinstance(claimed, dict) or not isinstance(claimed.get("note"), str):
        return None
    if own.checkpoints.of_earlier(claimed["note"]):
        return None
    try:
        return own.checkpoints.read_any(claimed["note"])
    except NoteError:
        return None


def _root(tx: Transaction) -> str:
    return base64url.encode(entries.root(tx))


def _wrong_place(tx: Transaction, peer: Authority, theirs: Place) -> str | None:
    last = streams.sent_place(tx, peer)
    assert last is not None
    if theirs.position > last.position:
        return f"{peer} claims position {theirs.position}, the last sent is {last.position}"
    if streams.sent_place(tx, peer, theirs.position) != theirs:
        return f"{peer} claims another head at position {theirs.position}"
    return None


def _go_back(tx: Transaction, peer: Authority, theirs: Place) -> None:
    """A peer that holds less than it had acknowledged has lost it: go on from there."""
    state = peers.state(tx, peer)
    if state is not None and theirs.position < state.acknowledged:
        peers.update(tx, peer, acknowledged=theirs.position, in_flight=None)


def _claimed(own: OwnAuthority, claimed: Any) -> int:
    """The size of this log that a peer claims to hold, unless it speaks of one that has ended."""
    if not isinstance(claimed, dict) or own.checkpoints.of_earlier(str(claimed.get("note"))):
        return 0
    return claimed["size"] if type(claimed.get("size")) is int else 0
