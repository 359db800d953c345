"""Receiving a bundle: manifest, documents, log part, stream, receipt.

Effects in order: one transaction (documents, entries, positions, quarantine, checkpoint, receipt),
then the checkpoint is released, then the receipt leaves. The manifest again finds the receipt.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from node import base64url, bundle
from node.authority import OwnAuthority
from node.clock import CLOCK_GRACE_S, seconds
from node.config import log_origin
from node.documents import MAX_TRANSPORT_BYTES, Document, SignedDocument
from node.domain.context import Context
from node.domain.kinds import MANIFEST, RECEIPT, SUCCESSION
from node.domain.runs import runs
from node.errors import ProblemError, RefusedError
from node.exchange import peer_log, quarantine, receipt
from node.exchange.admission import (
    authenticate,
    check_addressed,
    check_known,
    judge_of,
)
from node.exchange.judge import Line, Verdict, Verdicts
from node.ids import Authority
from node.jose.strict import parse
from node.ledger import entries, peers, streams, succession, transport, witness
from node.ledger.database import Transaction
from node.ledger.witness import Seen
from node.log.chain import Place
from node.schema.validation import check_document

MAX_MANIFEST_LIFE_S = 90 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Opened:
    """A manifest that may be acted on; `receipt` is set if it was answered before."""

    manifest: Document | None
    peer: Authority
    receipt: bytes | None = None


@dataclass(frozen=True, slots=True)
class _Answer:
    receipt: bytes
    checkpoint: str


class _Incoming(NamedTuple):
    """A bundle that agrees with its manifest: the place and the verdict of each of its documents."""

    manifest: Document
    places: Sequence[Place]
    verdicts: Verdicts


class _Offered(NamedTuple):
    """A document of a bundle at its place in the stream."""

    place: Place
    doc_id: str
    verdict: Verdict

    def names(self) -> tuple[str, ...]:
        return self.verdict.names() or (self.doc_id,)

    def alone(self) -> bool:
        return self.verdict.alone


class Receiver:
    """Answers bundles for one authority. Synchronous; call it off the event loop."""

    def __init__(self, own: OwnAuthority) -> None:
        self._own = own

    def open(self, first_line: bytes) -> Opened:
        """Check a manifest before the rest of its bundle is read. Records nothing.

        Raises:
            ProblemError: In the order of protocol section 4.
        """
        signed = self._authentic(first_line)
        stored = self._own.ledger.read(lambda tx: transport.receipt(tx, signed.iss, signed.doc_id))
        if stored is not None:
            return Opened(None, signed.iss, stored)
        now = self._own.clock.now()
        check_addressed(self._own, signed.claims, now)
        try:
            manifest = check_document(signed, MANIFEST.name)
        except RefusedError as refusal:
            raise bundle.malformed(str(refusal)) from None
        life = signed.claims["exp"] - manifest.iat
        if not 0 < life <= MAX_MANIFEST_LIFE_S:
            raise bundle.malformed(f"exp is {life} s after iat, expected at most 90 days")
        return Opened(manifest, signed.iss)

    def receive(self, opened: Opened, rest: bytes) -> bytes:
        """Take a bundle in and return the receipt, durable and released.

        Args:
            opened: Output of `open`.
            rest: All bytes after the manifest's line.

        Raises:
            ProblemError: In the order of protocol section 4; forks carry ``statement``.
            LogBehindError: Nothing may be signed.
        """
        if opened.receipt is not None:
            # It may never have left: a crash can come between commit and release.
            shown = receipt.checkpoint_of(opened.receipt)
            if not self._own.checkpoints.of_earlier(shown):
                self._own.checkpoints.release(shown)
            return opened.receipt
        manifest = opened.manifest
        assert manifest is not None
        context, held = self._own.ledger.read(lambda tx: self._look(tx, manifest))
        lines = bundle.split(rest)
        # Whether lines and names are as many, and the same, is looked at while workers judge.
        names = manifest.body["documents"]
        offered = [Line(raw, doc_id in held) for raw, doc_id in zip(lines, names, strict=False)]
        verdicts = Verdicts(judge_of(self._own, manifest.iss, context), self._own.crew, offered)
        places = bundle.check_against_manifest(manifest.body, lines, rest)
        try:
            self._own.fault("receive.commit")
            answer = self._own.ledger.write(
                lambda tx: self._record(tx, _Incoming(manifest, places, verdicts), context)
            )
        except peer_log.ForkError as fork:
            raise self._fork(manifest, fork) from None
        except ProblemError as problem:
            if problem.code == "bad-proof":
                self._bad_proof(manifest, str(problem))
            raise
        self._own.fault("receive.release")
        self._own.checkpoints.release(answer.checkpoint)
        self._own.fault("receive.answer")
        return answer.receipt

    def _authentic(self, first_line: bytes) -> SignedDocument:
        try:
            untrusted = parse(first_line, MAX_TRANSPORT_BYTES)
        except RefusedError as refusal:
            if refusal.code == "too-large":
                raise ProblemError("too-large", str(refusal)) from None
            raise bundle.malformed(f"manifest: {refusal}") from None
        if untrusted.typ != MANIFEST.typ:
            raise bundle.malformed(f"expected {MANIFEST.typ} in the first line")
        return authenticate(self._own, untrusted, MANIFEST)

    def _look(self, tx: Transaction, manifest: Document) -> tuple[Context, Mapping[str, int]]:
        """The circumstances, and which documents of a bundle that comes again were accepted before."""
        peer, body = manifest.iss, manifest.body
        check_known(self._own, peer, tx)  # the peers may have been reloaded meanwhile
        have = streams.received_place(tx, peer)
        assert have is not None
        again = body["stream"]["first"] <= have.position
        held = streams.received_indexes(tx, peer, body["documents"]) if again else {}
        return self._own.context(tx), held

    def _record(self, tx: Transaction, incoming: _Incoming, context: Context) -> _Answer:
        manifest, _, verdicts = incoming
        own, peer, body = self._own, manifest.iss, manifest.body
        now_s = seconds(context.now)
        stored = transport.receipt(tx, peer, manifest.doc_id)
        if stored is not None:  # the same manifest came twice at once
            return _Answer(stored, receipt.checkpoint_of(stored))
        own.checkpoints.guard(tx)
        shown = self._check_log(tx, manifest, verdicts)
        have = self._check_stream(tx, peer, body)
        results: list[dict[str, Any]] = []
        if body["stream"]["first"] <= have.position + 1:
            results, have = self._take(tx, incoming, context, have)
        peer_log.keep(tx, own, peer, shown, now_s)
        known = max(body["stream"]["last"], _state(tx, peer).known)
        witnessed = _witnessed(tx, manifest)
        proven = witnessed["size"] if witnessed else 0
        peers.update(tx, peer, known=known, last_in=now_s, bad_proofs=0)
        if witnessed or not body["witnessed"]:
            peers.proven(tx, peer, proven, manifest.iat)
        quarantine.pause_if_full(tx, peer, now_s)
        receipt_body = receipt.body(tx, own, manifest, have, results, proven, now_s)
        if rejudged := streams.rejudged(tx, peer, manifest.doc_id, proven):
            receipt_body["rejudged"] = [
                receipt.accepted(doc_id, index) for doc_id, index in rejudged
            ]
            streams.named(tx, peer, manifest.doc_id, entries.size(tx))
        if _state(tx, peer).met_log or succession.number(tx) == 1:
            peers.update(tx, peer, shown_size=entries.size(tx))  # else it may not take it for ours
        signed = own.sign(RECEIPT, [peer], receipt.in_order(receipt_body), iat=now_s)
        until_s = None if results else manifest.signed.claims["exp"] + CLOCK_GRACE_S
        transport.keep_receipt(tx, "given", peer, manifest.doc_id, signed.raw, now_s, until_s)
        checkpoint: str = receipt_body["log"]["checkpoint"]
        if results:
            own.log(tx, [signed], now_s)
        return _Answer(signed.raw, checkpoint)

    def _check_log(self, tx: Transaction, manifest: Document, verdicts: Verdicts) -> Seen:
        peer, body = manifest.iss, manifest.body
        blocked = peers.incidents(tx, peer, "log-fork", direction="in")
        shown_by = body["log"]["checkpoint"].partition("\n")[0]
        if blocked and shown_by == log_origin(peer, self._own.sandbox, _log_held(tx, peer)):
            raise peer_log.ForkError("log-fork", blocked[0].detail, blocked[0].evidence)
        size = peer_log.claimed_size(body["log"]["checkpoint"])
        if size is not None and any(index >= size for index in body["indexes"]):
            raise bundle.malformed("the checkpoint does not cover all indexes")
        wrong = peer_log.check_own_head(tx, _witnessed(tx, manifest))
        if wrong is not None and succession.number(tx) > 1:
            # Made before the sender heard of this log; it makes another one.
            raise peer_log.proof_needed(tx, peer, f"witnessed: {wrong}; this log is a successor")
        if wrong is not None:
            raise ProblemError("bad-proof", f"witnessed: {wrong}")
        shown = peer_log.check_manifest_log(
            tx, self._own, peer, body["log"],
            heartbeat=not body["documents"],
            announcing=lambda: {
                verdict.document.body["origin"]
                for verdict in verdicts
                if verdict.document is not None
                and verdict.document.kind == SUCCESSION.name
                and not verdict.content.findings
            },
        )  # fmt: skip
        peer_log.check_inclusions(self._own, peer, body, shown)
        return shown

    def _check_stream(self, tx: Transaction, peer: Authority, body: Mapping[str, Any]) -> Place:
        """The last place held; everything the bundle says of held places must agree."""
        stream = body["stream"]
        have = streams.received_place(tx, peer)
        assert have is not None
        place = Place(stream["first"] - 1, base64url.decode(stream["prev_head"]))
        documents = iter(body["documents"])
        while place.position <= have.position:
            held = streams.received_place(tx, peer, place.position)
            if held is not None and held.head != place.head:
                raise peer_log.ForkError(
                    "stream-fork",
                    f"another head at position {place.position} of the stream of {peer}",
                    {"position": place.position, "held": base64url.encode(held.head),
                     "shown": base64url.encode(place.head)},
                )  # fmt: skip
            doc_id = next(documents, None)
            if doc_id is None:
                break
            place = place.then(base64url.decode(doc_id))
        return have

    def _take(
        self, tx: Transaction, incoming: _Incoming, context: Context, have: Place
    ) -> tuple[list[dict[str, Any]], Place]:
        """Record what is new of a bundle; a result for each document, and the last place held."""
        manifest, places, verdicts = incoming
        own, peer, body = self._own, manifest.iss, manifest.body
        now_s = seconds(context.now)
        facts = own.facts(tx)
        with_facts = replace(context, facts=facts)
        known = streams.received_indexes(tx, peer, body["documents"])
        results: list[dict[str, Any]] = []
        accepted: list[str] = []

        def otherwise(one: _Offered) -> dict[str, Any] | None:
            """The result of a document that is not to be logged: held, duplicate or refused."""
            if one.place.position <= have.position:
                return self._held_result(tx, peer, one, known)
            if one.verdict.parsed and one.doc_id in known:
                return receipt.duplicate(one.doc_id, known[one.doc_id])
            if findings := one.verdict.findings(with_facts):
                raw = one.verdict.raw
                quarantine.put(tx, peer, one.place.position, one.doc_id, raw, findings, now_s)
                return receipt.rejected(one.doc_id, findings)
            return None

        offered = map(_Offered, places, body["documents"], verdicts)
        for run in runs(offered, _Offered.names, _Offered.alone):
            facts.look_up(
                (one.verdict.number for one in run if one.verdict.number),
                (one.verdict.answered for one in run if one.verdict.answered),
            )
            told = [(one, otherwise(one)) for one in run]
            new = [one for one, result in told if result is None]
            first = own.log(tx, [one.verdict.signed for one in new], now_s)
            known |= {one.doc_id: index for index, one in enumerate(new, first)}
            accepted += [one.doc_id for one in new]
            results += [r or receipt.accepted(one.doc_id, known[one.doc_id]) for one, r in told]
        taken = [
            (place, doc_id)
            for place, doc_id in zip(places, body["documents"], strict=True)
            if place.position > have.position
        ]
        streams.receive(tx, peer, taken, now_s)
        streams.release(tx, peer, accepted)  # where an earlier position had them refused
        if accepted and "proofs" not in body:
            at = body["documents"].index(secrets.choice(accepted))
            transport.want_spot_check(tx, peer, body["documents"][at], body["indexes"][at])
        return results, taken[-1][0] if taken else have

    def _held_result(
        self, tx: Transaction, peer: Authority, one: "_Offered", known: Mapping[str, int]
    ) -> dict[str, Any]:
        kept = streams.quarantined_at(tx, peer, one.place.position)
        if kept is not None:
            return receipt.rejected(one.doc_id, kept.errors)
        return receipt.duplicate(one.doc_id, known[one.doc_id])

    def _fork(self, manifest: Document, fork: peer_log.ForkError) -> ProblemError:
        """Keep the evidence, and state the fork under this authority's signature (rule 5)."""
        own, peer, now_s = self._own, manifest.iss, self._own.now_s()
        evidence = dict(fork.evidence) | {"manifest": manifest.signed.raw.decode()}

        def state(tx: Transaction) -> tuple[SignedDocument, str]:
            own.checkpoints.guard(tx)
            peers.report(tx, peer, fork.code, "in", str(fork), evidence, now_s)
            have = streams.received_place(tx, peer)
            assert have is not None
            told = {"manifest": manifest.doc_id, "results": [], "code": fork.code}
            witnessed = _witnessed(tx, manifest)
            if peer_log.check_own_head(tx, witnessed) is None:
                size = witnessed["size"] if witnessed else 0
                told = receipt.body(tx, own, manifest, have, [], size, now_s) | told
            signed = own.sign(RECEIPT, [peer], receipt.in_order(told), iat=now_s)
            return signed, own.checkpoints.current(tx, now_s).note

        statement, checkpoint = own.ledger.write(state)
        own.checkpoints.release(checkpoint)
        return ProblemError(fork.code, str(fork), {"statement": statement.raw.decode()})

    def _bad_proof(self, manifest: Document, detail: str) -> None:
        """Count; three in a row, or a claim beyond this log, are an incident."""
        peer, now_s = manifest.iss, self._own.now_s()
        evidence = {"manifest": manifest.signed.raw.decode()}

        def act(tx: Transaction) -> None:
            count = _state(tx, peer).bad_proofs + 1
            peers.update(tx, peer, bad_proofs=count)
            if count >= peer_log.BAD_PROOFS_IN_A_ROW:
                reason = "three proofs in a row failed"
                peers.report(tx, peer, "bad-proof", "in", reason, evidence, now_s)
            witnessed = manifest.body["witnessed"]
            if witnessed is not None and witnessed["size"] > entries.size(tx):
                peers.report(tx, peer, "position-ahead", "in", detail, evidence, now_s)

        self._own.ledger.write(act)


def _witnessed(tx: Transaction, manifest: Document) -> Mapping[str, Any] | None:
    """What the sender says it holds of this log; nothing where it cannot know of a successor yet.

    After a succession the first bundles still speak of the log that has ended. If they were refused,
    two nodes that both lost entries would wait for each other's announcement for ever.
    """
    witnessed: Mapping[str, Any] | None = manifest.body["witnessed"]
    unmet = succession.number(tx) > 1 and not _state(tx, manifest.iss).met_log
    if unmet and peer_log.check_own_head(tx, witnessed) is not None:
        return None
    return witnessed


def _log_held(tx: Transaction, peer: Authority) -> int:
    held = witness.held(tx, peer)
    return held.log if held else 1


def _state(tx: Transaction, peer: Authority) -> peers.PeerState:
    state = peers.state(tx, peer)
    assert state is not None, f"{peer} is in the ring and hence pinned"
    return state
