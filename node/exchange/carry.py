"""Bundles and receipts as files: what e-mail and sticks carry (protocol section 3).

A file goes through the same doors as a bundle that was pushed or a receipt that came back.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from node.authority import OwnAuthority
from node.documents import MAX_TRANSPORT_BYTES
from node.domain.kinds import RECEIPT
from node.errors import ProblemError, RefusedError, refuse
from node.exchange import answers
from node.exchange.admission import check_known
from node.exchange.receive import Receiver
from node.exchange.send import Outgoing, Sender
from node.ids import Authority
from node.jose.strict import parse
from node.ledger import entries, peers, streams
from node.ledger.database import Transaction


@dataclass(frozen=True, slots=True)
class TakenIn:
    """What a file was, and what became of it.

    Attributes:
        kind: ``bundle`` or ``receipt``.
        peer: Who made it.
        results: Of each document, as the receipt has them; for a receipt, what it says of ours.
        answer: The receipt to carry back, or the signed statement of a fork; None after a receipt.
        problem: Why the bundle was answered with a statement, or None.
    """

    kind: str
    peer: Authority
    results: list[dict[str, Any]] = field(default_factory=list)
    answer: bytes | None = None
    problem: ProblemError | None = None


def make(own: OwnAuthority, peer: Authority, proof_from: int | None = None) -> Iterator[Outgoing]:
    """The bundles of everything that waits for a peer; a heartbeat where nothing does.

    Args:
        own: Who sends.
        peer: For whom.
        proof_from: The size of this log that the peer says it holds, where that is not what its
            last receipt said.

    Raises:
        ProblemError: ``unknown-peer``; ``paused`` by the operator or an incident; ``bad-request``
            for a size that this log does not have.
        LogBehindError: Nothing may be signed.
    """
    check_known(own, peer)
    if proof_from is not None:
        own.ledger.write(lambda tx: _prove_from(tx, peer, proof_from))
    sender, after = Sender(own), None
    last = own.ledger.read(lambda tx: streams.sent_place(tx, peer))
    assert last is not None
    while after is None or after < last.position:
        made = sender.carried(peer, after)
        if made is None:
            raise ProblemError("paused", f"an incident has stopped what goes to {peer}")
        yield made
        after = made.first + made.count - 1


def take_in(own: OwnAuthority, raw: bytes) -> TakenIn:
    """Take in a bundle or a receipt; the same file again changes nothing.

    Args:
        own: Who receives.
        raw: The file.

    Raises:
        RefusedError: ``unknown-issuer``: the file is of no peer.
        ProblemError: As a pushed bundle or a posted receipt would be answered.
        LogBehindError: Nothing may be recorded.
    """
    first_line, _, rest = raw.partition(b"\n")
    try:
        if _typ(first_line) == RECEIPT.typ:
            return _receipt(own, first_line)
        return _bundle(own, first_line, rest, whole=b"\n" in raw)
    except ProblemError as problem:
        if problem.code == "unknown-peer":
            raise refuse("KP-S-001", "the file is of no peer of this node") from None
        raise


def _bundle(own: OwnAuthority, first_line: bytes, rest: bytes, *, whole: bool) -> TakenIn:
    receiver = Receiver(own)
    if not whole:
        raise ProblemError("malformed-bundle", "the manifest's line has no end")
    opened = receiver.open(first_line)
    try:
        receipt = receiver.receive(opened, rest)
    except ProblemError as problem:
        statement = problem.members.get("statement")
        if statement is None:
            raise
        return TakenIn("bundle", opened.peer, [], str(statement).encode(), problem)
    return TakenIn("bundle", opened.peer, entries.claims(receipt)["body"]["results"], receipt)


def _receipt(own: OwnAuthority, raw: bytes) -> TakenIn:
    receipt = answers.open_receipt(own, raw)
    answers.take_receipt(own, receipt)
    return TakenIn("receipt", receipt.iss, list(receipt.body["results"]))


def _typ(line: bytes) -> str:
    try:
        return parse(line, MAX_TRANSPORT_BYTES).typ
    except RefusedError:
        return ""  # the bundle's door says what is wrong with it


def _prove_from(tx: Transaction, peer: Authority, size: int) -> None:
    if size > entries.size(tx):
        raise ProblemError("bad-request", f"this log has {entries.size(tx)} entries, not {size}")
    peers.update(tx, peer, proven_size=size, shown_size=size, in_flight=None)
