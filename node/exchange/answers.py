"""What a peer may ask about its own pair: position, proofs, checkpoint (protocol section 4)."""

import re
from collections.abc import Mapping
from typing import Any

from node import base64url
from node.authority import OwnAuthority
from node.bundle import MAX_DOCUMENTS
from node.documents import Document
from node.errors import ProblemError
from node.exchange import peer_log
from node.exchange.acknowledge import Acknowledger, InvalidReceiptError
from node.exchange.admission import RETRY_AFTER_PAUSE_S
from node.exchange.send import Sender
from node.ids import Authority
from node.ledger import entries, peers, streams, witness
from node.ledger.database import Transaction
from node.log import tree

_NUMBER = re.compile(r"0|[1-9][0-9]{0,15}")


def position(own: OwnAuthority, caller: Authority) -> dict[str, Any]:
    """Both streams and the witnessed checkpoint, as this node sees the pair.

    Raises:
        LogBehindError: Nothing may be signed.
    """
    now_s = own.now_s()

    def answer(tx: Transaction) -> dict[str, Any]:
        received, sent = streams.received_place(tx, caller), streams.sent_place(tx, caller)
        state, held = peers.state(tx, caller), witness.held(tx, caller)
        assert received is not None
        assert sent is not None
        assert state is not None
        seen = None if held is None else {**(peer_log.head_of(held) or {}), "note": held.note}
        return {
            "authority": own.name,
            "received": {"have": received.position, "head": base64url.encode(received.head)},
            "sent": {
                "last": sent.position,
                "head": base64url.encode(sent.head),
                "acknowledged": state.acknowledged,
            },
            "witnessed": seen,
            "checkpoint": _current(tx, own, now_s),
        }

    result = own.ledger.write(answer)
    own.checkpoints.release(result["checkpoint"])
    return result


def bundle_for(own: OwnAuthority, caller: Authority, query: Mapping[str, str]) -> bytes:
    """What waits for a peer that pulls: ``after`` a position, at most ``limit`` documents.

    Both may be left out: then it is all that the caller has not acknowledged.

    Raises:
        ProblemError: ``bad-request``, or ``paused`` where an incident has stopped the stream.
        LogBehindError: Nothing may be signed.
    """
    if len(query) != len(set(query)) or not set(query) <= {"after", "limit"}:
        raise ProblemError("bad-request", "expected after and limit")
    after = _numbers({"after": query["after"]}, "after")[0] if "after" in query else None
    limit = _numbers({"limit": query["limit"]}, "limit")[0] if "limit" in query else MAX_DOCUMENTS
    made = Sender(own).pulled(caller, after, min(limit, MAX_DOCUMENTS))
    if made is None:
        raise ProblemError(
            "paused", "an incident has stopped this stream", {"retry_after": RETRY_AFTER_PAUSE_S}
        )
    return made.raw


def open_receipt(own: OwnAuthority, raw: bytes) -> Document:
    """The receipt of a pulled bundle, if it is a peer's and for this node.

    Raises:
        ProblemError: Why it is none.
    """
    try:
        return Acknowledger(own).open(raw)
    except InvalidReceiptError as error:
        raise ProblemError(error.problem, str(error)) from None


def take_receipt(own: OwnAuthority, receipt: Document) -> None:
    """Let an opened receipt count.

    Raises:
        ProblemError: Why it does not; ``bad-proof`` where its own proof starts at what is held of
            the caller's log and does not verify, ``proof-needed`` where it does not connect to what is held of
            the caller's log: the bundle fetched next leads there.
    """
    try:
        gap = Acknowledger(own).take(receipt)
    except InvalidReceiptError as error:
        raise ProblemError(error.problem, str(error)) from None
    if gap is None:
        return
    if gap.wrong:
        raise ProblemError("bad-proof", f"size {gap.new} does not follow from {gap.old}")
    peer, detail = receipt.iss, f"expected a proof from size {gap.old} to {gap.new}"

    def renew(tx: Transaction) -> ProblemError:
        peers.update(tx, peer, in_flight=None)
        return peer_log.proof_needed(tx, peer, detail)

    raise own.ledger.write(renew)


def checkpoint(own: OwnAuthority) -> str:
    """The newest signed checkpoint, released.

    Raises:
        LogBehindError: Nothing may be signed.
    """
    now_s = own.now_s()
    note = own.ledger.write(lambda tx: _current(tx, own, now_s))
    own.checkpoints.release(note)
    return note


def inclusion(own: OwnAuthority, caller: Authority, query: Mapping[str, str]) -> dict[str, Any]:
    """Proof that an entry named to the caller is in the log of a size.

    Raises:
        ProblemError: ``bad-request``, or ``not-found`` for what was not named to the caller.
    """
    index, size = _numbers(query, "index", "size")

    def answer(tx: Transaction) -> dict[str, Any]:
        entry = entries.entry(tx, index)
        named = entry is not None and streams.known_to(tx, caller, index)
        if entry is None or not named or size > entries.size(tx):
            raise ProblemError("not-found", "no such entry for this caller")
        if index >= size:
            raise ProblemError("bad-request", f"no entry {index} in a log of {size}")
        proof = tree.inclusion(index, size, entries.node_getter(tx))
        return {
            "index": index,
            "size": size,
            "leaf": base64url.encode(entry.leaf),
            "proof": peer_log.texts(proof),
        }

    return own.ledger.read(answer)


def consistency(own: OwnAuthority, query: Mapping[str, str]) -> dict[str, Any]:
    """Proof that the log of one size extends that of another.

    Raises:
        ProblemError: ``bad-request``, or ``not-found`` for a size the log does not have yet.
    """
    old, new = _numbers(query, "old", "new")
    if old > new:
        raise ProblemError("bad-request", f"old {old} is larger than new {new}")

    def answer(tx: Transaction) -> dict[str, Any]:
        if new > entries.size(tx):
            raise ProblemError("not-found", f"the log has no size {new} yet")
        proof = tree.consistency(old, new, entries.node_getter(tx))
        return {"old": old, "new": new, "proof": peer_log.texts(proof)}

    return own.ledger.read(answer)


def _current(tx: Transaction, own: OwnAuthority, now_s: int) -> str:
    own.checkpoints.guard(tx)
    return own.checkpoints.current(tx, now_s).note


def _numbers(query: Mapping[str, str], *names: str) -> list[int]:
    if sorted(query) != sorted(names) or not all(_NUMBER.fullmatch(query[n]) for n in names):
        raise ProblemError("bad-request", f"expected {' and '.join(names)} as plain numbers")
    return [int(query[name]) for name in names]
