"""What a receipt changes at the sender, whichever way it came back. No network here.

One transaction: the receipt, its outcomes, its log entry, the position acknowledged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from node import base64url, bundle
from node.authority import OwnAuthority
from node.clock import CLOCK_GRACE_S
from node.documents import MAX_TRANSPORT_BYTES, Document
from node.domain.kinds import RECEIPT
from node.errors import NodeError, ProblemError, RefusedError
from node.exchange import peer_log
from node.exchange.admission import check_known
from node.exchange.peer_log import ForkError, Gap
from node.ids import Authority
from node.jose.strict import parse
from node.jose.verify import verify
from node.ledger import deliveries, entries, peers, recovery, streams, transport, witness
from node.ledger.database import Transaction
from node.ledger.deliveries import DELIVERED, Delivery
from node.ledger.witness import Seen
from node.schema.validation import check_document

GROWS_BY = 2
"""A bundle that got through whole lets the next have so many times the documents."""


class InvalidReceiptError(NodeError):
    """What came back is no receipt (rule 4); the bundle counts as not delivered.

    Args:
        message: What is wrong.
        problem: The code of protocol section 4 that a peer is answered with.
    """

    code = "invalid-receipt"

    def __init__(self, message: str, problem: str = "bad-request") -> None:
        super().__init__(message)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Trip:
    """What was seen on the way of a bundle and back.

    Attributes:
        took_s: From question to answer.
        clock_s: By how many seconds the peer's clock is ahead, or None.
    """

    took_s: float | None = None
    clock_s: int | None = None


class Acknowledger:
    """Lets receipts count. Synchronous; call it off the event loop."""

    def __init__(self, own: OwnAuthority) -> None:
        self._own = own

    def accept(
        self,
        peer: Authority,
        manifest: str,
        raw: bytes,
        bridge: Sequence[bytes] | None = None,
        trip: Trip | None = None,
    ) -> Gap | None:
        """Check a receipt and let it count.

        Args:
            peer: Who gave it.
            manifest: The manifest it must name.
            raw: The receipt.
            bridge: The proof of a `Gap` returned earlier, once the peer has answered.
            trip: How it went, where it was fetched by this very call.

        Returns:
            None when it counts, or the gap in the peer's log to ask for first.

        Raises:
            InvalidReceiptError: It is none; forks are kept as incidents.
            LogBehindError: Nothing may be recorded.
        """
        return self._count(self._authentic(peer, raw), manifest, bridge, trip or Trip())

    def open(self, raw: bytes) -> Document:
        """A receipt that came on its own: posted after a pull, or carried. Records nothing.

        Raises:
            ProblemError: ``unknown-peer`` or ``paused``.
            InvalidReceiptError: It is none of a peer's, or not for this node.
        """
        try:
            peer = Authority(parse(raw, MAX_TRANSPORT_BYTES).claimed_issuer)
        except RefusedError as refusal:
            raise InvalidReceiptError(f"receipt: {refusal}") from None
        check_known(self._own, peer)
        return self._authentic(peer, raw)

    def take(self, receipt: Document) -> Gap | None:
        """Let an opened receipt count, or the statement of a fork.

        Returns:
            The gap, if its proof does not connect to what is held of its issuer's log.

        Raises:
            InvalidReceiptError: As `accept`.
            LogBehindError: Nothing may be recorded.
        """
        peer, manifest = receipt.iss, receipt.body["manifest"]
        if "code" not in receipt.body:
            return self._count(receipt, manifest, None, Trip())
        if not self._is_sent(peer, manifest):
            raise InvalidReceiptError("the statement names no manifest of ours", "not-found")
        self.forked(peer, manifest, receipt.body["code"], receipt.signed.raw.decode())
        return None

    def forked(self, peer: Authority, manifest: str, code: str, statement: Any) -> bool:
        """Whether a fork the peer answers with is stated under its signature (rule 5).

        If it is, an incident stops this direction until an operator acts; but a node that was let
        go on after a loss continues at the place the statement names.
        """
        if not isinstance(statement, str):
            return False
        try:
            receipt = self._authentic(peer, statement.encode())
        except InvalidReceiptError:
            return False
        if receipt.body["manifest"] != manifest or receipt.body.get("code") != code:
            return False
        place, now_s = recovery.place_of(receipt.body.get("stream")), self._own.now_s()

        def act(tx: Transaction) -> None:
            if code == "stream-fork" and place and recovery.take_place(tx, peer, place, now_s):
                return
            detail = f"{peer} states a {code}"
            peers.report(tx, peer, code, "out", detail, {"statement": statement}, now_s)

        self._own.ledger.write(act)
        return True

    def _is_sent(self, peer: Authority, manifest: str) -> bool:
        sent = self._own.ledger.read(lambda tx: transport.manifest(tx, manifest))
        return sent is not None and sent.peer == peer

    def _count(
        self, receipt: Document, manifest: str, bridge: Sequence[bytes] | None, trip: Trip
    ) -> Gap | None:
        peer, own = receipt.iss, self._own
        own.fault("send.receipt")
        try:
            return own.ledger.write(
                lambda tx: self._accept(tx, peer, manifest, receipt, bridge, trip)
            )
        except ForkError as fork:
            # A forked log concerns all that comes from it, a forked stream only what goes there.
            direction = "both" if fork.code == "log-fork" else "out"
            evidence = dict(fork.evidence) | {"receipt": receipt.signed.raw.decode()}
            told = (fork.code, direction, str(fork), evidence, own.now_s())
            own.ledger.write(lambda tx: peers.report(tx, peer, *told))
            raise InvalidReceiptError(str(fork), fork.code) from None
        except ProblemError as problem:
            raise InvalidReceiptError(str(problem), problem.code) from None

    def _authentic(self, peer: Authority, raw: bytes) -> Document:
        own = self._own
        try:
            untrusted = parse(raw, MAX_TRANSPORT_BYTES)
            if untrusted.typ != RECEIPT.typ or untrusted.claimed_issuer != peer:
                raise InvalidReceiptError(f"expected a receipt of {peer}")
            signed = verify(untrusted, own.book.ring, RECEIPT.role)
        except RefusedError as refusal:
            raise InvalidReceiptError(f"receipt: {refusal}", "bad-signature") from None
        try:
            receipt = check_document(signed, RECEIPT.name)
        except RefusedError as refusal:
            raise InvalidReceiptError(f"receipt: {refusal}") from None
        if receipt.aud != (own.name,):
            raise InvalidReceiptError(f"expected a receipt for {own.name}", "wrong-audience")
        if receipt.sandbox != own.sandbox:
            raise InvalidReceiptError("sandbox and production never mix", "wrong-sandbox")
        return receipt

    def _accept(
        self,
        tx: Transaction,
        peer: Authority,
        manifest: str,
        receipt: Document,
        bridge: Sequence[bytes] | None,
        trip: Trip,
    ) -> Gap | None:
        own, body, now_s = self._own, receipt.body, self._own.now_s()
        sent = transport.manifest(tx, manifest)
        state = peers.state(tx, peer)
        if sent is None or sent.peer != peer or state is None or body["manifest"] != manifest:
            raise InvalidReceiptError("the receipt does not answer a manifest of ours", "not-found")
        if "code" in body:
            raise InvalidReceiptError("the receipt is the statement of a fork")
        if transport.receipt(tx, peer, manifest) is not None:
            return None
        offered = entries.claims(sent.jws)["body"]
        _check_stream(tx, peer, body["stream"])
        shown = peer_log.read_note(own, peer, body["log"]["checkpoint"])
        _check_results(tx, peer, offered, body, shown)
        if body["witnessed"] is None:
            raise InvalidReceiptError("expected witnessed to name a checkpoint, got null")
        wrong = peer_log.check_claim(tx, body["witnessed"])
        if wrong := wrong or _too_old(own, offered, body["witnessed"]):
            raise InvalidReceiptError(f"witnessed: {wrong}", "bad-proof")
        if gap := peer_log.gap_before(tx, own, peer, shown, body["log"], bridge):
            return gap
        own.checkpoints.guard(tx)
        until_s = None if body["results"] else sent.until
        transport.keep_receipt(tx, "held", peer, manifest, receipt.signed.raw, now_s, until_s)
        peer_log.keep(tx, own, peer, shown, now_s)
        results = [*body["results"], *body.get("rejudged", ())]
        streams.settle(tx, peer, results, receipt.doc_id, now_s)
        if body["results"]:
            own.log(tx, [receipt.signed], now_s)
            acknowledged = max(state.acknowledged, sent.last)
        else:
            # A gap: the recipient holds less than was acknowledged, so go back to what it has.
            acknowledged = min(state.acknowledged, body["stream"]["have"])
        full = bool(body["results"]) and len(body["results"]) >= state.batch
        peers.proven(tx, peer, body["witnessed"]["size"], min(receipt.iat, now_s + CLOCK_GRACE_S))
        peers.update(
            tx, peer, acknowledged=acknowledged,
            in_flight=None if state.in_flight == manifest else state.in_flight,
            attempts=0, next_try=0, last_error=None, last_step=None, last_out=now_s,
            clock_s=state.clock_s if trip.clock_s is None else trip.clock_s,
            batch=min(bundle.MAX_DOCUMENTS, state.batch * GROWS_BY) if full else state.batch,
        )  # fmt: skip
        if sent.last >= sent.first:
            made = Delivery(
                peer, sent.made_at, now_s, 1, sent.first, sent.last, DELIVERED, None, trip.took_s
            )
            deliveries.note(tx, made)
        return None


def _check_stream(tx: Transaction, peer: Authority, stream: Mapping[str, Any]) -> None:
    mine = streams.sent_place(tx, peer, stream["have"])
    if mine is None:
        raise ForkError(
            "stream-fork", f"{peer} claims position {stream['have']}, beyond the last sent", {}
        )
    if base64url.encode(mine.head) != stream["head"]:
        raise ForkError("stream-fork", f"{peer} has another head at position {stream['have']}", {})


def _check_results(
    tx: Transaction,
    peer: Authority,
    offered: Mapping[str, Any],
    body: Mapping[str, Any],
    shown: Seen,
) -> None:
    results, have, size = body["results"], body["stream"]["have"], shown.size
    gap = not results and have < offered["stream"]["first"] - 1
    named = [result["doc"] for result in results]
    if not gap and (named != offered["documents"] or have < offered["stream"]["last"]):
        raise InvalidReceiptError("the results are not one a document, in order")
    least = offered["witnessed"]["size"] if offered["witnessed"] else 0
    if witness.seen(tx, peer, shown.log, least) is None:
        least = 0  # the recipient's log was another one when it was offered
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


def _too_old(
    own: OwnAuthority, offered: Mapping[str, Any], witnessed: Mapping[str, Any]
) -> str | None:
    note = offered["log"]["checkpoint"]
    size = peer_log.claimed_size(note) or 0
    if own.checkpoints.of_earlier(note) or witnessed["size"] >= size:
        return None
    return f"expected the checkpoint of {size} or a larger one, got {witnessed['size']}"
