"""Sending: the next bundle of a stream, and what its receipt changes. No network here.

Effects in order: the manifest is stored (one transaction with its checkpoint), the checkpoint is
released, the bundle leaves, the receipt is stored with its outcomes (one transaction).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from node import base64url, bundle
from node.authority import OwnAuthority
from node.documents import MAX_TRANSPORT_BYTES, Document
from node.domain.kinds import MANIFEST, RECEIPT
from node.errors import NodeError, ProblemError, RefusedError
from node.exchange import peer_log
from node.exchange.peer_log import ForkError, Gap
from node.ids import Authority
from node.jose.strict import parse
from node.jose.verify import verify
from node.ledger import entries, peers, streams, transport, witness
from node.ledger.database import Transaction
from node.ledger.streams import Waiting
from node.ledger.transport import Sent
from node.schema.validation import check_document

MANIFEST_LIFE_S = 24 * 3600
"""How long the same bytes are tried; then a new manifest covers the same positions."""

_LINES_BYTES = bundle.MAX_BUNDLE_BYTES - MAX_TRANSPORT_BYTES


class InvalidReceiptError(NodeError):
    """What came back is no receipt (rule 4); the bundle counts as not delivered."""

    code = "invalid-receipt"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A bundle ready to leave: `count` documents, its checkpoint released."""

    manifest: str
    count: int
    raw: bytes


class Sender:
    """The outgoing streams of one authority. Synchronous; call it off the event loop."""

    def __init__(self, own: OwnAuthority) -> None:
        self._own = own

    def next_bundle(self, peer: Authority, *, heartbeat: bool) -> Outgoing | None:
        """The bundle to deliver now: the one in flight, or a new one of what waits.

        Args:
            peer: The recipient.
            heartbeat: Whether to make a bundle even if nothing waits.

        Returns:
            None if there is nothing to send, or an incident has stopped this direction.

        Raises:
            LogBehindError: Nothing may be signed.
        """
        self._own.fault("send.manifest")
        made = self._own.ledger.write(lambda tx: self._next(tx, peer, heartbeat=heartbeat))
        if made is None:
            return None
        outgoing, checkpoint = made
        self._own.fault("send.release")
        self._own.checkpoints.release(checkpoint)
        self._own.fault("send.post")
        return outgoing

    def accept(
        self, peer: Authority, manifest: str, raw: bytes, bridge: Sequence[bytes] | None = None
    ) -> Gap | None:
        """Check a receipt and let it count.

        Args:
            peer: Who gave it.
            manifest: The manifest it must name.
            raw: The receipt.
            bridge: The proof of a `Gap` returned earlier, once the peer has answered.

        Returns:
            None when it counts, or the gap in the peer's log to ask for first.

        Raises:
            InvalidReceiptError: It is none; forks are kept as incidents.
            LogBehindError: Nothing may be recorded.
        """
        receipt = self._authentic(peer, raw)
        self._own.fault("send.receipt")
        try:
            return self._own.ledger.write(
                lambda tx: self._accept(tx, peer, manifest, receipt, bridge)
            )
        except ForkError as fork:
            # A forked log concerns all that comes from it, a forked stream only what goes there.
            direction = "both" if fork.code == "log-fork" else "out"
            evidence = dict(fork.evidence) | {"receipt": raw.decode()}
            self._report(peer, fork.code, direction, str(fork), evidence)
            raise InvalidReceiptError(str(fork)) from None
        except ProblemError as problem:
            raise InvalidReceiptError(str(problem)) from None

    def forked(self, peer: Authority, manifest: str, code: str, statement: Any) -> bool:
        """Whether a fork the peer answers with is stated under its signature (rule 5).

        If it is, an incident stops this direction until an operator acts.
        """
        if not isinstance(statement, str):
            return False
        try:
            receipt = self._authentic(peer, statement.encode())
        except InvalidReceiptError:
            return False
        if receipt.body["manifest"] != manifest or receipt.body.get("code") != code:
            return False
        self._report(peer, code, "out", f"{peer} states a {code}", {"statement": statement})
        return True

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
            wrong = _claim(tx, held)
            if wrong is None:
                peers.update(tx, peer, proven_size=held["size"], in_flight=None)
            elif held["size"] > entries.size(tx):
                now_s = self._own.now_s()
                peers.report(tx, peer, "position-ahead", "both", wrong, {"held": held}, now_s)
            return wrong

        wrong = self._own.ledger.write(act)
        if wrong is not None:
            raise InvalidReceiptError(f"proof-needed: {wrong}")

    def halve(self, peer: Authority, count: int) -> None:
        """After a time-out: half as many documents, in a new manifest; one stays as it is."""
        if count > 1:
            batch = count // 2
            self._own.ledger.write(lambda tx: peers.update(tx, peer, batch=batch, in_flight=None))

    def _next(
        self, tx: Transaction, peer: Authority, *, heartbeat: bool
    ) -> tuple[Outgoing, str] | None:
        own, now_s = self._own, self._own.now_s()
        own.checkpoints.guard(tx)
        state = peers.state(tx, peer)
        if state is None or peers.incidents(tx, peer, "stream-fork", "log-fork", direction="out"):
            return None
        waiting = _fitting(streams.waiting(tx, peer, state.acknowledged, state.batch))
        in_flight = transport.manifest(tx, state.in_flight) if state.in_flight else None
        if in_flight is not None and (again := self._again(tx, in_flight, waiting, now_s)):
            return again
        if not waiting and not heartbeat:
            return None
        signed = self._manifest(tx, peer, state, waiting, now_s)
        transport.drop_unanswered(tx, peer)
        last = state.acknowledged + len(waiting)
        sent = Sent(signed.doc_id, peer, signed.raw, state.acknowledged + 1, last)
        transport.keep_manifest(tx, sent, now_s)
        peers.update(tx, peer, in_flight=signed.doc_id)
        raw = bundle.assemble(signed.raw, [item.jws for item in waiting])
        checkpoint: str = signed.claims["body"]["log"]["checkpoint"]
        return Outgoing(signed.doc_id, len(waiting), raw), checkpoint

    def _again(
        self, tx: Transaction, sent: Sent, waiting: list[Waiting], now_s: int
    ) -> tuple[Outgoing, str] | None:
        """The same bytes while `exp` is ahead; a heartbeat gives way to documents."""
        claims = entries.claims(sent.jws)
        count = sent.last - sent.first + 1
        if claims["exp"] <= now_s or (count == 0 and waiting):
            return None
        documents = streams.waiting(tx, sent.peer, sent.first - 1, count)
        raw = bundle.assemble(sent.jws, [item.jws for item in documents])
        return Outgoing(sent.manifest, count, raw), claims["body"]["log"]["checkpoint"]

    def _manifest(
        self,
        tx: Transaction,
        peer: Authority,
        state: peers.PeerState,
        waiting: list[Waiting],
        now_s: int,
    ) -> Any:
        before = streams.sent_place(tx, peer, state.acknowledged)
        assert before is not None
        head = waiting[-1].head if waiting else before.head
        body = {
            "protocol": bundle.PROTOCOL,
            "stream": {
                "first": state.acknowledged + 1,
                "last": state.acknowledged + len(waiting),
                "prev_head": base64url.encode(before.head),
                "head": base64url.encode(head),
            },
            "digest": bundle.body_digest([item.jws for item in waiting]),
            "documents": [item.doc_id for item in waiting],
            "indexes": [item.index for item in waiting],
            "log": peer_log.own_log_part(tx, self._own, state.proven_size, now_s),
            "witnessed": peer_log.head_of(witness.held(tx, peer)),
        }
        return self._own.sign(MANIFEST, [peer], body, iat=now_s, exp=now_s + MANIFEST_LIFE_S)

    def _authentic(self, peer: Authority, raw: bytes) -> Document:
        own = self._own
        try:
            untrusted = parse(raw, MAX_TRANSPORT_BYTES)
            if untrusted.typ != RECEIPT.typ or untrusted.claimed_issuer != peer:
                raise InvalidReceiptError(f"expected a receipt of {peer}")
            receipt = check_document(verify(untrusted, own.book.ring, RECEIPT.role), RECEIPT.name)
        except RefusedError as refusal:
            raise InvalidReceiptError(f"receipt: {refusal}") from None
        if receipt.aud != (own.name,) or receipt.sandbox != own.sandbox:
            raise InvalidReceiptError(f"expected a receipt for {own.name}")
        return receipt

    def _accept(
        self,
        tx: Transaction,
        peer: Authority,
        manifest: str,
        receipt: Document,
        bridge: Sequence[bytes] | None,
    ) -> Gap | None:
        own, body, now_s = self._own, receipt.body, self._own.now_s()
        sent = transport.manifest(tx, manifest)
        state = peers.state(tx, peer)
        if sent is None or state is None or body["manifest"] != manifest or "code" in body:
            raise InvalidReceiptError("the receipt does not answer the manifest sent")
        if transport.receipt(tx, peer, manifest) is not None:
            return None
        offered = entries.claims(sent.jws)["body"]
        _check_stream(tx, peer, body["stream"])
        shown = peer_log.read_note(own, peer, body["log"]["checkpoint"])
        _check_results(tx, peer, offered, body, shown.size)
        wrong = _claim(tx, body["witnessed"]) or _too_old(offered, body["witnessed"])
        if wrong is not None:
            raise InvalidReceiptError(f"witnessed: {wrong}")
        if gap := peer_log.gap_before(tx, peer, shown, body["log"], bridge):
            return gap
        own.checkpoints.guard(tx)
        until_s = None if body["results"] else now_s + MANIFEST_LIFE_S
        transport.keep_receipt(tx, "held", peer, manifest, receipt.signed.raw, now_s, until_s)
        witness.keep(tx, peer, shown, now_s)
        results = [*body["results"], *body.get("rejudged", ())]
        streams.settle(tx, peer, results, receipt.doc_id, now_s)
        if body["results"]:
            own.log(tx, receipt.signed, RECEIPT.name, now_s)
            acknowledged = max(state.acknowledged, sent.last)
        else:
            # A gap: the recipient holds less than was acknowledged, so go back to what it has.
            acknowledged = min(state.acknowledged, body["stream"]["have"])
        full = bool(body["results"]) and len(body["results"]) >= state.batch
        peers.update(
            tx, peer, acknowledged=acknowledged, proven_size=body["witnessed"]["size"],
            in_flight=None, attempts=0, next_try=0, last_error=None, last_out=now_s,
            batch=min(bundle.MAX_DOCUMENTS, state.batch * 2) if full else state.batch,
        )  # fmt: skip
        return None

    def _report(
        self, peer: Authority, code: str, direction: str, detail: str, evidence: Mapping[str, Any]
    ) -> None:
        now_s = self._own.now_s()
        self._own.ledger.write(
            lambda tx: peers.report(tx, peer, code, direction, detail, evidence, now_s)
        )


def _fitting(waiting: list[Waiting]) -> list[Waiting]:
    """As many as fit into one bundle."""
    total = 0
    for number, item in enumerate(waiting):
        total += len(item.jws) + 1
        if total > _LINES_BYTES:
            return waiting[:number]
    return waiting


def _check_stream(tx: Transaction, peer: Authority, stream: Mapping[str, Any]) -> None:
    mine = streams.sent_place(tx, peer, stream["have"])
    if mine is None:
        raise ForkError(
            "stream-fork", f"{peer} claims position {stream['have']}, beyond the last sent", {}
        )
    if base64url.encode(mine.head) != stream["head"]:
        raise ForkError("stream-fork", f"{peer} has another head at position {stream['have']}", {})


def _check_results(
    tx: Transaction, peer: Authority, offered: Mapping[str, Any], body: Mapping[str, Any], size: int
) -> None:
    results, have = body["results"], body["stream"]["have"]
    gap = not results and have < offered["stream"]["first"] - 1
    named = [result["doc"] for result in results]
    if not gap and (named != offered["documents"] or have < offered["stream"]["last"]):
        raise InvalidReceiptError("the results are not one a document, in order")
    least = offered["witnessed"]["size"] if offered["witnessed"] else 0
    if results and size < least:
        raise InvalidReceiptError(f"expected a checkpoint of {least} or more, got {size}")
    for result in (*results, *body.get("rejudged", ())):
        index = result.get("index")
        if result["outcome"] != "rejected" and index >= size:
            raise InvalidReceiptError(f"the checkpoint of {size} does not cover index {index}")
    for result in results:
        if result["outcome"] == "accepted" and result["index"] < least:
            raise InvalidReceiptError(f"accepted at {result['index']}, before it was offered")
    for result in body.get("rejudged", ()):
        if not streams.was_sent(tx, peer, result["doc"]):
            raise InvalidReceiptError(f"rejudged: {result['doc']} was never sent")


def _claim(tx: Transaction, head: Mapping[str, Any]) -> str | None:
    try:
        return peer_log.check_own_head(tx, head)
    except ValueError:
        return "the root is not base64url of 32 bytes"


def _too_old(offered: Mapping[str, Any], witnessed: Mapping[str, Any]) -> str | None:
    size = peer_log.claimed_size(offered["log"]["checkpoint"]) or 0
    if witnessed["size"] < size:
        return f"expected the checkpoint of {size} or a larger one, got {witnessed['size']}"
    return None
