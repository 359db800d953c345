"""Sending: the next bundle of a stream, for all three ways it may travel. No network here.

Effects in order: the manifest is stored (one transaction with its checkpoint), the checkpoint is
released and on the disk, the bundle leaves. What its receipt changes is in `node.exchange.acknowledge`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from node import base64url, bundle
from node.authority import OwnAuthority
from node.clock import CLOCK_GRACE_S
from node.documents import MAX_TRANSPORT_BYTES
from node.domain.kinds import MANIFEST
from node.errors import ProblemError
from node.exchange import peer_log
from node.exchange.acknowledge import InvalidReceiptError
from node.ids import Authority
from node.jose.strict import parse
from node.ledger import entries, peers, streams, transport, witness
from node.ledger.database import Transaction
from node.ledger.streams import Waiting
from node.ledger.transport import Sent
from node.log import tree
from node.succession import announced_at

MANIFEST_LIFE_S = 24 * 3600
"""How long the same bytes are tried; then a new manifest covers the same positions."""

CARRIED_LIFE_S = 90 * 24 * 3600
"""A stick may take its time; the longest the protocol allows."""

PROVEN_DOCUMENTS = 200
"""A carried bundle of at most so many brings their inclusion proofs."""

_LINES_BYTES = bundle.MAX_BUNDLE_BYTES - MAX_TRANSPORT_BYTES


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A bundle ready to leave, its checkpoint released: `count` documents from `first` on."""

    manifest: str
    first: int
    count: int
    raw: bytes


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Which bundle to make.

    Attributes:
        after: The position before its first.
        limit: At most so many documents.
        heartbeat: Whether to make one although nothing waits.
        current: Whether its proof must lead from what the recipient is now known to hold. For a
            pushed one the answer ``proof-needed`` mends that, for a carried one the operator.
        carried: Whether it travels as a file.
    """

    after: int
    limit: int
    heartbeat: bool
    current: bool = True
    carried: bool = False


class Sender:
    """The outgoing streams of one authority. Synchronous; call it off the event loop."""

    def __init__(self, own: OwnAuthority) -> None:
        self._own = own

    def next_bundle(self, peer: Authority, *, heartbeat: bool) -> Outgoing | None:
        """The bundle to push now: the one in flight, or a new one of what waits.

        Args:
            peer: The recipient.
            heartbeat: Whether to make a bundle even if nothing waits.

        Returns:
            None if there is nothing to send, or an incident has stopped this direction.

        Raises:
            LogBehindError: Nothing may be signed.
        """
        # After a power cut it is made anew: what it vouches for is on the disk, and so is, before it
        # leaves, its checkpoint.
        return self._make(
            peer,
            lambda state: _Wanted(state.acknowledged, state.batch, heartbeat, current=False),
            durable=False,
        )

    def pulled(self, peer: Authority, after: int | None, limit: int) -> Outgoing | None:
        """The bundle that a peer fetches: what follows a position, or a heartbeat.

        Args:
            peer: Who asks.
            after: The last position it wants no more of; by default what it has acknowledged.
            limit: At most so many documents.

        Returns:
            None if an incident has stopped this direction.

        Raises:
            ProblemError: ``bad-request``: there is no such position.
            LogBehindError: Nothing may be signed.
        """
        return self._make(
            peer,
            lambda state: _Wanted(
                state.acknowledged if after is None else after, limit, heartbeat=True
            ),
        )

    def carried(self, peer: Authority) -> Outgoing | None:
        """The bundle to hand over as a file: what is not acknowledged, with a long life.

        Returns:
            None if an incident has stopped this direction.

        Raises:
            LogBehindError: Nothing may be signed.
        """
        return self._make(
            peer,
            lambda state: _Wanted(
                state.acknowledged,
                bundle.MAX_DOCUMENTS,
                heartbeat=True,
                current=False,
                carried=True,
            ),
        )

    def bridge(self, tx: Transaction, peer: Authority, old: int, note: str) -> bytes:
        """A heartbeat whose proof leads from a size the peer was shown to a checkpoint of ours.

        It travels with a receipt whose own proof starts elsewhere, where nobody can be asked.

        Args:
            tx: The transaction.
            peer: For whom.
            old: The size it was shown.
            note: The checkpoint.
        """
        state, size = peers.state(tx, peer), peer_log.claimed_size(note)
        assert state is not None
        assert size is not None
        wanted = _Wanted(state.acknowledged, 0, heartbeat=True, carried=True)
        proof = peer_log.texts(tree.consistency(old, size, entries.node_getter(tx)))
        log = {"checkpoint": note, "from_size": old, "consistency": proof}
        return bytes(self._manifest(tx, peer, wanted, [], CARRIED_LIFE_S, log).raw)

    def proof_needed(self, peer: Authority, held: Any) -> None:
        """Take over what the recipient says it holds of this log, for the next manifest.

        Raises:
            InvalidReceiptError: The claim does not fit this log; a larger one is an incident.
        """
        if not (
            isinstance(held, dict)
            and type(held.get("size")) is int
            and held["size"] >= 0
            and isinstance(held.get("root"), str)
        ):
            raise InvalidReceiptError("proof-needed names no size and root held")

        def act(tx: Transaction) -> str | None:
            wrong = peer_log.check_claim(tx, held)
            if wrong is None:
                peers.update(tx, peer, proven_size=held["size"], in_flight=None)
            elif held["size"] > entries.size(tx):
                now_s = self._own.now_s()
                peers.report(tx, peer, "position-ahead", "both", wrong, {"held": held}, now_s)
            return wrong

        wrong = self._own.ledger.write(act)
        if wrong is not None:
            raise InvalidReceiptError(f"proof-needed: {wrong}")

    def renew(self, peer: Authority) -> None:
        """Let the next manifest be a new one, which says what is held of the peer's log now."""
        self._own.ledger.write(lambda tx: peers.update(tx, peer, in_flight=None))

    def halve(self, peer: Authority, count: int) -> None:
        """After a time-out: half as many documents, in a new manifest; one stays as it is."""
        if count > 1:
            batch = count // 2
            self._own.ledger.write(lambda tx: peers.update(tx, peer, batch=batch, in_flight=None))

    def _make(self, peer: Authority, wanted: Any, *, durable: bool = True) -> Outgoing | None:
        self._own.fault("send.manifest")

        def make(tx: Transaction) -> tuple[Outgoing, str] | None:
            state = peers.state(tx, peer)
            if state is None or peers.incidents(tx, peer, *_FORKS, direction="out"):
                return None
            return self._next(tx, peer, state, wanted(state))

        made = self._own.ledger.write(make, durable=durable)
        if made is None:
            return None
        outgoing, checkpoint = made
        self._own.fault("send.release")
        self._own.checkpoints.release(checkpoint)
        self._own.fault("send.post")
        return outgoing

    def _next(
        self, tx: Transaction, peer: Authority, state: peers.PeerState, wanted: _Wanted
    ) -> tuple[Outgoing, str] | None:
        own, now_s = self._own, self._own.now_s()
        own.checkpoints.guard(tx)
        announced = announced_at(tx, own, peer)
        if wanted.after < announced:
            # Whatever the link takes, or was asked for: without it the peer refuses all of it.
            least = min(announced - wanted.after, bundle.MAX_DOCUMENTS)
            wanted = replace(wanted, limit=max(wanted.limit, least))
        waiting = _fitting(streams.waiting(tx, peer, wanted.after, wanted.limit))
        in_flight = transport.manifest(tx, state.in_flight) if state.in_flight else None
        if in_flight is not None and not self._counts(in_flight):
            in_flight = None
        if in_flight is not None and _serves(in_flight, wanted, waiting, state, now_s):
            return self._again(tx, in_flight)
        if not waiting and not wanted.heartbeat:
            return None
        life_s = CARRIED_LIFE_S if wanted.carried else MANIFEST_LIFE_S
        log = peer_log.own_log_part(tx, own, _from_size(wanted, state), now_s)
        signed = self._manifest(tx, peer, wanted, waiting, life_s, log)
        last = wanted.after + len(waiting)
        sent = Sent(
            signed.doc_id, peer, signed.raw, wanted.after + 1, last, now_s + life_s, wanted.carried
        )
        transport.keep_manifest(tx, sent, now_s)
        # Not with each bundle, as all that were ever answered are looked at: one that takes the
        # place of another leaves that unanswered.
        if state.in_flight or not waiting:
            transport.forget_unanswered(tx, peer, now_s - CLOCK_GRACE_S)
        shown = entries.size(tx) if wanted.carried else state.shown_size
        peers.update(tx, peer, in_flight=signed.doc_id, shown_size=shown)
        raw = bundle.assemble(signed.raw, [item.jws for item in waiting])
        checkpoint: str = signed.claims["body"]["log"]["checkpoint"]
        return Outgoing(signed.doc_id, sent.first, len(waiting), raw), checkpoint

    def _counts(self, sent: Sent) -> bool:
        """Whether neither the manifest's key nor that of its checkpoint was revoked since."""
        key = self._own.keys.keys.get(parse(sent.jws, MAX_TRANSPORT_BYTES).kid)
        note: str = entries.claims(sent.jws)["body"]["log"]["checkpoint"]
        good = key is not None and key.revoked_at is None
        return good and (
            self._own.checkpoints.of_earlier(note) or self._own.checkpoints.counts(note)
        )

    def _again(self, tx: Transaction, sent: Sent) -> tuple[Outgoing, str]:
        """The same bytes as before."""
        # Written again: a commit makes durable only what was written, and it may not have been yet.
        peers.update(tx, sent.peer, in_flight=sent.manifest)
        count = sent.last - sent.first + 1
        documents = streams.waiting(tx, sent.peer, sent.first - 1, count)
        raw = bundle.assemble(sent.jws, [item.jws for item in documents])
        checkpoint: str = entries.claims(sent.jws)["body"]["log"]["checkpoint"]
        return Outgoing(sent.manifest, sent.first, count, raw), checkpoint

    def _manifest(
        self,
        tx: Transaction,
        peer: Authority,
        wanted: _Wanted,
        waiting: list[Waiting],
        life_s: int,
        log: Mapping[str, Any],
    ) -> Any:
        before, now_s = streams.sent_place(tx, peer, wanted.after), self._own.now_s()
        if before is None:
            last = streams.sent_place(tx, peer)
            raise ProblemError(
                "bad-request",
                f"no position {wanted.after} in this stream, the last is {last and last.position}",
            )
        head = waiting[-1].head if waiting else before.head
        body: dict[str, Any] = {
            "protocol": bundle.PROTOCOL,
            "stream": {
                "first": wanted.after + 1,
                "last": wanted.after + len(waiting),
                "prev_head": base64url.encode(before.head),
                "head": base64url.encode(head),
            },
            "digest": bundle.body_digest([item.jws for item in waiting]),
            "documents": [item.doc_id for item in waiting],
            "indexes": [item.index for item in waiting],
            "log": log,
            "witnessed": peer_log.head_of(witness.held(tx, peer)),
        }
        if wanted.carried and 0 < len(waiting) <= PROVEN_DOCUMENTS:
            body["proofs"] = _inclusion_proofs(tx, waiting)
        return self._own.sign(MANIFEST, [peer], body, iat=now_s, exp=now_s + life_s)


_FORKS = ("stream-fork", "log-fork")


def _serves(
    sent: Sent, wanted: _Wanted, waiting: list[Waiting], state: peers.PeerState, now_s: int
) -> bool:
    """Whether a manifest made before is the one wanted now: the same bytes while `exp` is ahead."""
    count = sent.last - sent.first + 1
    if sent.first != wanted.after + 1 or sent.until <= now_s or count > wanted.limit:
        return False
    if count == 0 and waiting:  # a heartbeat gives way to documents
        return False
    if wanted.carried and not (sent.carried and count == len(waiting)):
        return False
    claims = entries.claims(sent.jws)
    if claims["iat"] > now_s + CLOCK_GRACE_S:  # the clock was ahead when it was made
        return False
    log: Mapping[str, Any] = claims["body"]["log"]
    return not wanted.current or bool(log["from_size"] == _from_size(wanted, state))


def _from_size(wanted: _Wanted, state: peers.PeerState) -> int:
    """Where the proof starts: at what the recipient has said it holds of this log.

    One that fetches, or is brought files, cannot be asked: it is taken to hold what it was shown.
    """
    asked = not (wanted.current or wanted.carried)
    return state.proven_size if asked else max(state.proven_size, state.shown_size)


def _inclusion_proofs(tx: Transaction, waiting: list[Waiting]) -> list[dict[str, Any]]:
    size, get = entries.size(tx), entries.node_getter(tx)
    return [
        {"index": item.index, "proof": peer_log.texts(tree.inclusion(item.index, size, get))}
        for item in waiting
    ]


def _fitting(waiting: list[Waiting]) -> list[Waiting]:
    """As many as fit into one bundle."""
    total = 0
    for number, item in enumerate(waiting):
        total += len(item.jws) + 1
        if total > _LINES_BYTES:
            return waiting[:number]
    return waiting
