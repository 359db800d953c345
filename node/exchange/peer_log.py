"""The other side's log: its checkpoints, its proofs, what was seen of it (protocol section 3 rule 6)."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from node import base64url
from node.authority import OwnAuthority
from node.config import log_number, log_origin
from node.errors import NodeError, ProblemError
from node.ids import DIGEST, Authority
from node.jose.verify import verify_raw
from node.ledger import entries, peers, succession, transport, witness
from node.ledger.database import Transaction
from node.ledger.witness import Seen
from node.log import tree
from node.log.note import NoteError, read_checkpoint

MAX_PROOF = 64
"""Hashes of any proof in a tree of 2^53 leaves."""

BAD_PROOFS_IN_A_ROW = 3
"""So many are no accident any more (rule 6)."""


class ForkError(NodeError):
    """A log or a stream is shown in two ways; `code` is ``log-fork`` or ``stream-fork``.

    Args:
        code: Which of the two.
        detail: In words.
        evidence: What proves it.
    """

    def __init__(self, code: str, detail: str, evidence: Mapping[str, Any]) -> None:
        super().__init__(detail, code=code)
        self.evidence = evidence


def read_note(own: OwnAuthority, peer: Authority, note: str) -> Seen:
    """A checkpoint of a peer's log, its signature checked.

    Raises:
        ProblemError: ``bad-proof``.
    """
    number = log_number(peer, note.partition("\n")[0]) or 1
    origin = log_origin(peer, own.sandbox, number)
    keys = [
        (key.raw, partial(verify_raw, key))
        for key in own.book.ring[peer].keys.values()
        if key.role == "log" and key.revoked_at is None
    ]
    try:
        checkpoint = read_checkpoint(note, origin, keys)
    except NoteError as error:
        raise ProblemError("bad-proof", f"checkpoint: {error}") from None
    return Seen(checkpoint.size, checkpoint.root, checkpoint.note, number)


def check_manifest_log(
    tx: Transaction,
    own: OwnAuthority,
    peer: Authority,
    log: Mapping[str, Any],
    *,
    heartbeat: bool,
    announcing: Callable[[], Collection[str]] = tuple,
) -> Seen:
    """Hold a manifest's log part against what is held of the sender's log.

    Args:
        tx: The transaction.
        own: Who checks.
        peer: The sender.
        log: The manifest's log part.
        heartbeat: Whether it names no documents.
        announcing: Finds the origins of successor logs that this very bundle announces.

    Raises:
        ProblemError: ``bad-proof`` or ``proof-needed`` (with ``held``).
        ForkError: Same size, other root.
    """
    shown = read_note(own, peer, log["checkpoint"])
    held = _held(tx, own, peer, shown, announcing)
    if shown.log < held.log:
        raise _proof_needed(held, f"expected a checkpoint of {_origin(own, peer, held.log)}")
    if shown.size > held.size:
        if log["from_size"] != held.size:
            raise _proof_needed(held, f"expected a proof from {held.size}, got {log['from_size']}")
        if not _proves(log, held, shown):
            raise ProblemError("bad-proof", f"size {shown.size} does not follow from {held.size}")
        return shown
    if shown.size < held.size and not heartbeat:
        raise _proof_needed(held, f"expected a checkpoint of {held.size} or more")
    check_seen(tx, peer, shown)
    # No news; but a proof that could not be of any log is none, wherever it starts.
    start = shown if log["from_size"] == shown.size else _seen_at(tx, peer, shown, log["from_size"])
    if log["from_size"] > shown.size or (start and not _proves(log, start, shown)):
        raise ProblemError("bad-proof", f"no proof leads from {log['from_size']} to {shown.size}")
    return shown


def claimed_size(note: str) -> int | None:
    """The size a checkpoint names, before its signature is checked; None if it names none."""
    lines = note.split("\n")
    plain = len(lines) > 1 and lines[1].isascii() and lines[1].isdigit() and len(lines[1]) <= 16
    return int(lines[1]) if plain else None


def check_seen(tx: Transaction, peer: Authority, shown: Seen) -> None:
    """Compare a checkpoint with what was seen at its size.

    Raises:
        ForkError: Other root at the same size.
    """
    before = _seen_at(tx, peer, shown, shown.size)
    if before is not None and before.root != shown.root:
        raise ForkError(
            "log-fork",
            f"two roots of the log of {peer} at size {shown.size}",
            {"held": before.note, "shown": shown.note},
        )


def _seen_at(tx: Transaction, peer: Authority, shown: Seen, size: int) -> Seen | None:
    """What was seen at a size of the log that a checkpoint is of; every log has been empty."""
    before = witness.seen(tx, peer, shown.log, size)
    return Seen(0, tree.EMPTY_ROOT, "", shown.log) if before is None and size == 0 else before


def _proves(log: Mapping[str, Any], old: Seen, new: Seen) -> bool:
    """Whether the proof of a log part leads from one checkpoint to the other."""
    proof = hashes(log["consistency"])
    return tree.verify_consistency(old.size, new.size, proof, old.root, new.root)


def check_own_head(tx: Transaction, head: Mapping[str, Any] | None) -> str | None:
    """Whether a peer's claim about this log is true.

    Args:
        tx: The transaction.
        head: ``{size, root}`` as the peer has witnessed it, or None.

    Returns:
        What is wrong, or None.
    """
    if head is None:
        return None
    if head["size"] > entries.size(tx):
        return f"this log has {entries.size(tx)} entries, the peer claims {head['size']}"
    if entries.root(tx, head["size"]) != base64url.decode(head["root"]):
        return f"the root claimed at size {head['size']} is not this log's"
    return None


def check_claim(tx: Transaction, head: Mapping[str, Any] | None) -> str | None:
    """As `check_own_head`, for a head whose form nobody has checked."""
    try:
        return check_own_head(tx, head)
    except ValueError:
        return "the root is not base64url of 32 bytes"


def keep(tx: Transaction, own: OwnAuthority, peer: Authority, shown: Seen, now_s: int) -> None:
    """Keep a checkpoint that was checked; the first of a successor log is told to the operator.

    One of a successor whose announcement was not recorded (it stands beyond a gap) is passed over.
    """
    before = witness.held(tx, peer)
    if shown.log > (before.log if before else 1):
        said = succession.announced(tx, peer, _origin(own, peer, shown.log))
        if said is None:
            return
        if before is not None:  # else it is new here, and nothing was seen of its former logs
            _succeed(tx, peer, before, said, now_s)
    witness.keep(tx, peer, shown, now_s)


def _succeed(
    tx: Transaction, peer: Authority, before: Seen, said: Mapping[str, Any], now_s: int
) -> None:
    transport.forget_spot_checks(tx, peer)
    # What is under way may have been answered already, with a checkpoint of the log that ended.
    peers.update(tx, peer, in_flight=None)
    detail = (
        f"{said['origin']} goes on where its predecessor had {claimed_size(said['predecessor'])} "
        f"entries; the last checkpoint of that seen here has {before.size}"
    )
    evidence = {"held": before.note, "announced": said}
    peers.report(tx, peer, "log-succeeded", "both", detail, evidence, now_s)


@dataclass(frozen=True, slots=True)
class Gap:
    """A proof to be asked for: that size `new` of the peer's log extends size `old`.

    `wrong` says that one was given which starts there, and does not verify.
    """

    old: int
    new: int
    wrong: bool = False


def gap_before(
    tx: Transaction,
    own: OwnAuthority,
    peer: Authority,
    shown: Seen,
    log: Mapping[str, Any],
    bridge: Sequence[bytes] | None,
) -> Gap | None:
    """What is missing between a receipt's checkpoint and what is held of the peer's log.

    Args:
        tx: The transaction.
        own: Who checks.
        peer: Who gave the receipt.
        shown: The receipt's checkpoint, its signature checked.
        log: The receipt's log part.
        bridge: The proof of a gap returned earlier, once the peer has answered.

    Returns:
        None if it connects, else the gap to be asked for.

    Raises:
        ForkError: Other root at a size seen before.
        ProblemError: ``bad-proof``: the log has ended, or has not been announced.
    """
    held = _held(tx, own, peer, shown)
    if shown.log < held.log:
        raise ProblemError("bad-proof", f"{_origin(own, peer, shown.log)} has ended")
    check_seen(tx, peer, shown)
    if shown.size == held.size:
        return None
    old, new = sorted((held, shown), key=lambda seen: seen.size)
    starts_there = shown is new and log["from_size"] == held.size
    if starts_there and _proves(log, old, new):
        return None
    if bridge is not None and tree.verify_consistency(
        old.size, new.size, bridge, old.root, new.root
    ):
        return None
    return Gap(old.size, new.size, wrong=starts_there)


def read_proof(value: Any) -> list[bytes] | None:
    """The hashes of a proof that a peer has answered with; None if it is no proof."""
    if not isinstance(value, list) or len(value) > MAX_PROOF:
        return None
    if not all(isinstance(step, str) and DIGEST.fullmatch(step) for step in value):
        return None
    return hashes(value)


def hashes(proof: Sequence[str]) -> list[bytes]:
    """A proof's hashes as bytes."""
    return [base64url.decode(step) for step in proof]


def texts(proof: Sequence[bytes]) -> list[str]:
    """A proof's hashes as JSON carries them."""
    return [base64url.encode(step) for step in proof]


def own_log_part(tx: Transaction, own: OwnAuthority, from_size: int, at_s: int) -> dict[str, Any]:
    """This log's newest checkpoint with its proof from what the other side holds."""
    checkpoint = own.checkpoints.current(tx, at_s)
    proof = tree.consistency(from_size, checkpoint.size, entries.node_getter(tx))
    return {
        "checkpoint": checkpoint.note,
        "from_size": from_size,
        "consistency": texts(proof),
    }


def head_of(seen: Seen | None) -> dict[str, Any] | None:
    """``{size, root}`` of a checkpoint of a peer's log."""
    return None if seen is None else {"size": seen.size, "root": base64url.encode(seen.root)}


def _held(
    tx: Transaction,
    own: OwnAuthority,
    peer: Authority,
    shown: Seen,
    announcing: Callable[[], Collection[str]] = tuple,
) -> Seen:
    """What a checkpoint must follow: the newest held, or the empty tree of an announced successor."""
    held = witness.held(tx, peer) or Seen(0, tree.EMPTY_ROOT, "")
    if shown.log <= held.log:
        return held
    origin = _origin(own, peer, shown.log)
    if origin not in announcing() and succession.announced(tx, peer, origin) is None:
        raise ProblemError("bad-proof", f"checkpoint: {peer} has not announced {origin}")
    return Seen(0, tree.EMPTY_ROOT, "", shown.log)


def _origin(own: OwnAuthority, peer: Authority, number: int) -> str:
    return log_origin(peer, own.sandbox, number)


def check_inclusions(
    own: OwnAuthority, peer: Authority, body: Mapping[str, Any], shown: Seen
) -> None:
    """Check the inclusion proofs that a carried manifest brings; others have none.

    Raises:
        ProblemError: ``bad-proof``: one does not verify, or is of no document of the bundle.
    """
    documents = dict(zip(body["indexes"], body["documents"], strict=True))
    origin = _origin(own, peer, shown.log)
    for item in body.get("proofs", ()):
        doc_id = documents.get(item["index"])
        if doc_id is None:
            raise ProblemError("bad-proof", f"inclusion: no document has the index {item['index']}")
        leaf = tree.entry_leaf(origin, base64url.decode(doc_id))
        proof = hashes(item["proof"])
        if not tree.verify_inclusion(leaf, item["index"], shown.size, proof, shown.root):
            raise ProblemError("bad-proof", f"inclusion: {doc_id} is not entry {item['index']}")


def proof_needed(tx: Transaction, peer: Authority, detail: str) -> ProblemError:
    """The answer to a sender whose proof does not start at what is held of its log."""
    return _proof_needed(witness.held(tx, peer) or Seen(0, tree.EMPTY_ROOT, ""), detail)


def _proof_needed(held: Seen, detail: str) -> ProblemError:
    return ProblemError("proof-needed", detail, {"held": head_of(held)})
