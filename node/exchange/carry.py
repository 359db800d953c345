"""Bundles and receipts as files: what e-mail and sticks carry (protocol section 3).

A file goes through the same doors as a bundle that was pushed or a receipt that came back.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from node.authority import OwnAuthority
from node.documents import MAX_TRANSPORT_BYTES
from node.domain.kinds import RECEIPT
from node.errors import ProblemError, RefusedError, refuse
from node.exchange import answers
from node.exchange.admission import check_known
from node.exchange.peer_log import claimed_size
from node.exchange.receive import Receiver
from node.exchange.send import Outgoing, Sender
from node.ids import Authority
from node.jose.strict import parse
from node.ledger import acts, entries, peers, transport
from node.ledger.database import Transaction


@dataclass(frozen=True, slots=True)
class TakenIn:
    """What a file was, and what became of it.

    Attributes:
        kind: ``bundle``, ``receipt``, or ``statement`` of a fork.
        peer: Who made it.
        results: Of each document, as the receipt has them; for a receipt, what it says of ours.
        answer: What to carry back: the receipt, with a bridge in a second line where files have
            crossed, or the signed statement of a fork; None after a receipt.
        problem: Why a bundle was not taken in, or what a statement says; None if all is well.
    """

    kind: str
    peer: Authority
    results: list[dict[str, Any]] = field(default_factory=list)
    answer: bytes | None = None
    problem: ProblemError | None = None

    def as_json(self) -> dict[str, Any]:
        """What became of it, without what is to be carried back."""
        outcomes = [result["outcome"] for result in self.results]
        return {
            "kind": self.kind,
            "from": self.peer,
            "documents": len(outcomes),
            **{name: outcomes.count(name) for name in ("accepted", "duplicate", "rejected")},
            "results": self.results,
            "problem": {"code": self.problem.code, "detail": str(self.problem)}
            if self.problem
            else None,
        }


def make(own: OwnAuthority, peer: Authority, proof_from: int | None = None) -> Outgoing:
    """The bundle of what waits for a peer, as much as a bundle holds; a heartbeat if nothing does.

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
    made = Sender(own).carried(peer)
    if made is None:
        raise ProblemError("paused", f"an incident has stopped what goes to {peer}")
    told = f"{peer} {made.manifest}: {made.count} documents"
    own.ledger.write(lambda tx: acts.note(tx, own.now_s(), "bundle export", told))
    return made


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
            done = _receipt(own, first_line, rest.removesuffix(b"\n"))
        else:
            done = _bundle(own, first_line, rest, whole=b"\n" in raw)
    except ProblemError as problem:
        if problem.code == "unknown-peer":
            raise refuse("KP-S-001", "the file is of no peer of this node") from None
        raise
    told = f"{done.kind} of {done.peer}: {len(done.results)} documents"
    own.ledger.write(lambda tx: acts.note(tx, own.now_s(), "bundle import", told))
    return done


def _bundle(own: OwnAuthority, first_line: bytes, rest: bytes, *, whole: bool) -> TakenIn:
    receiver = Receiver(own)
    if not whole:
        raise ProblemError("malformed-bundle", "the manifest's line has no end")
    opened = receiver.open(first_line)
    shown = own.ledger.read(lambda tx: peers.state(tx, opened.peer))
    try:
        receipt = receiver.receive(opened, rest)
    except ProblemError as problem:
        statement = problem.members.get("statement")
        if statement is None:
            raise
        return TakenIn("bundle", opened.peer, [], str(statement).encode(), problem)
    manifest, answer = entries.claims(first_line)["body"], entries.claims(receipt)["body"]
    gap = None
    if manifest["documents"] and not answer["results"]:
        have, first = answer["stream"]["have"], manifest["stream"]["first"]
        gap = ProblemError(
            "gap",
            f"the file begins at position {first}, the next one here is {have + 1}: a file before "
            f"it is missing. Carry this receipt back: {opened.peer} then sends from there",
        )
    if opened.receipt is None and shown is not None:
        own.ledger.write(lambda tx: _bridge(tx, own, opened.peer, shown.shown_size, answer))
    bridge = own.ledger.read(lambda tx: transport.bridge(tx, answer["manifest"]))
    file = receipt if bridge is None else receipt + b"\n" + bridge + b"\n"
    return TakenIn("bundle", opened.peer, answer["results"], file, gap)


def _bridge(
    tx: Transaction, own: OwnAuthority, peer: Authority, shown: int, answer: Mapping[str, Any]
) -> None:
    """Where files cross, the sender holds more of this log by the time the receipt comes.

    Its proof starts at what the sender's manifest names; a heartbeat goes with it that leads from
    what the sender was shown meanwhile to the receipt's checkpoint.
    """
    log = answer["log"]
    if log["from_size"] < shown <= (claimed_size(log["checkpoint"]) or 0):
        made = Sender(own).bridge(tx, peer, shown, log["checkpoint"])
        transport.keep_bridge(tx, answer["manifest"], made)


def _receipt(own: OwnAuthority, raw: bytes, bridge: bytes) -> TakenIn:
    receipt = answers.open_receipt(own, raw)
    try:
        answers.take_receipt(own, receipt)
    except ProblemError as problem:
        if problem.code != "proof-needed" or not bridge:
            raise
        _cross(own, receipt.iss, bridge)
        answers.take_receipt(own, receipt)
    peer, code = receipt.iss, receipt.body.get("code")
    if code is None:
        return TakenIn("receipt", peer, list(receipt.body["results"]))
    stopped = own.ledger.read(lambda tx: peers.incidents(tx, peer, code, direction="out"))
    if not stopped:
        return TakenIn("statement", peer)
    return TakenIn("statement", peer, problem=ProblemError(code, f"{peer} states a {code}"))


def _cross(own: OwnAuthority, peer: Authority, bridge: bytes) -> None:
    """Take a bridge in. Its own receipt is carried nowhere, so it has shown the peer nothing."""
    before = own.ledger.read(lambda tx: peers.state(tx, peer))
    _bundle(own, bridge, b"", whole=True)
    if before is not None:
        own.ledger.write(lambda tx: peers.update(tx, peer, shown_size=before.shown_size))


def _typ(line: bytes) -> str:
    try:
        return parse(line, MAX_TRANSPORT_BYTES).typ
    except RefusedError:
        return ""  # the bundle's door says what is wrong with it


def _prove_from(tx: Transaction, peer: Authority, size: int) -> None:
    if size > entries.size(tx):
        raise ProblemError("bad-request", f"this log has {entries.size(tx)} entries, not {size}")
    peers.update(tx, peer, proven_size=size, shown_size=size, in_flight=None)
