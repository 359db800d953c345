"""Pushing to a peer: first a small question, then bundles, each with its receipt checked."""

import asyncio
import contextlib
import time
from typing import Any

import structlog

from node.authority import OwnAuthority
from node.errors import PeerUnreachableError
from node.exchange import inspection
from node.exchange.acknowledge import Acknowledger, InvalidReceiptError, Trip
from node.exchange.client import Answer, PeerClient, TimedOutError
from node.exchange.peer_log import Gap, read_proof
from node.exchange.refusal import PeerRefusedError, is_transient, refusal
from node.exchange.send import Outgoing, Sender
from node.ids import Authority
from node.ledger import deliveries
from node.ledger.deliveries import Due

MAX_SPOT_CHECKS = 20

log = structlog.get_logger()


class Pusher:
    """What is said to one peer over HTTP.

    Attributes:
        greeted: Whether the peer has said how it sees the pair; asked before the first bundle, and
            again whenever that is set back.
    """

    def __init__(self, own: OwnAuthority, peer: Authority, client: PeerClient) -> None:
        self._own = own
        self._peer = peer
        self._client = client
        self._sender = Sender(own)
        self._acknowledger = Acknowledger(own)
        self.greeted = False

    @property
    def clock_s(self) -> int | None:
        """By how many seconds the peer's clock was ahead at its last answer, or None."""
        return self._client.clock_s

    async def greet(self) -> dict[str, Any]:
        """Ask how the peer sees the pair, and hold that against this ledger (protocol section 5).

        Returns:
            Its position; empty if it answers none.

        Raises:
            PeerUnreachableError: No answer.
            PeerRefusedError: Nothing is signed for this peer before it has been asked.
            LogBehindError: It shows that this ledger is an old copy.
        """
        answer = await self._client.get("/kpx/v1/position")
        if is_transient(answer):
            if answer.status == 401:
                await self._look_at_keys()
            raise refusal(answer, "to the question for the position")
        position = answer.json() if answer.status == 200 else {}
        if not self.greeted:
            if position:
                await asyncio.to_thread(inspection.check_position, self._own, self._peer, position)
            await self._look_at_keys()
            self.greeted = True
        return position

    async def deliver(self, *, heartbeat: bool) -> tuple[Outgoing, Due] | None:
        """Deliver the next bundle.

        Returns:
            The bundle, and how it stands afterwards; None if there is nothing to send.

        Raises:
            PeerUnreachableError, PeerRefusedError: It was not delivered.
            InvalidReceiptError: What came back is no receipt.
            LogBehindError: Nothing may be signed.
        """
        outgoing = await asyncio.to_thread(
            self._sender.next_bundle, self._peer, heartbeat=heartbeat
        )
        if outgoing is None:
            return None
        started = time.monotonic()
        answer = await self._post(outgoing)
        if answer.status == 409 and answer.json().get("code") == "proof-needed":
            held = answer.json().get("held")
            await asyncio.to_thread(self._sender.proof_needed, self._peer, held)
            again = await asyncio.to_thread(
                self._sender.next_bundle, self._peer, heartbeat=heartbeat
            )
            if again is None:
                return None
            outgoing, answer = again, await self._post(again)
        due = await self._answered(outgoing, answer, time.monotonic() - started)
        log.info(
            "delivered",
            peer=self._peer,
            manifest=outgoing.manifest,
            documents=outgoing.count,
            seconds=round(time.monotonic() - started, 3),
        )
        return outgoing, due

    async def tell_what_is_held(self) -> None:
        """Deliver a manifest made now: from what it says is held here the peer's next proof starts.

        Raises:
            PeerUnreachableError, PeerRefusedError, InvalidReceiptError: As `deliver`.
        """
        await asyncio.to_thread(self._sender.renew, self._peer)
        await self.deliver(heartbeat=True)

    async def spot_checks(self) -> None:
        """Rule 7: one document of each bundle received must be in the sender's log.

        Raises:
            PeerUnreachableError: No answer.
        """
        for _ in range(MAX_SPOT_CHECKS):
            wanted = await asyncio.to_thread(inspection.wanted, self._own, self._peer)
            if wanted is None:
                return
            answer = await self._client.get(
                "/kpx/v1/log/inclusion", index=wanted.index, size=wanted.head.size
            )
            denied = answer.json().get("code") in ("not-found", "bad-request")
            if answer.status != 200 and not denied:
                return  # no answer yet; it is asked again
            await asyncio.to_thread(
                inspection.check_inclusion, self._own, self._peer, wanted, answer.json()
            )

    async def _post(self, outgoing: Outgoing) -> Answer:
        try:
            return await self._client.post_bundle(outgoing.raw)
        except TimedOutError:
            await asyncio.to_thread(self._sender.halve, self._peer, outgoing.count)
            raise

    async def _answered(self, outgoing: Outgoing, answer: Answer, took_s: float) -> Due:
        if answer.status != 200:
            await self._refused(outgoing, answer)
        peer, trip = self._peer, Trip(took_s, self._client.clock_s)

        def accept(bridge: list[bytes] | None) -> tuple[Gap | None, Due]:
            gap = self._acknowledger.accept(peer, outgoing.manifest, answer.body, bridge, trip)
            return gap, self._own.ledger.read(lambda tx: deliveries.due(tx, peer))

        gap, due = await asyncio.to_thread(accept, None)
        if gap is not None:
            bridge = await self._ask_consistency(gap)
            left, due = await asyncio.to_thread(accept, bridge)
            if left is not None:
                raise InvalidReceiptError(f"no proof from size {left.old} to {left.new} verifies")
        return due

    async def _refused(self, outgoing: Outgoing, answer: Answer) -> None:
        error, statement = refusal(answer), answer.json().get("statement")
        if error.code in ("stream-fork", "log-fork"):
            error.at_cap = await asyncio.to_thread(
                self._acknowledger.forked, self._peer, outgoing.manifest, error.code, statement
            )
        raise error

    async def _ask_consistency(self, gap: Gap) -> list[bytes]:
        answer = await self._client.get("/kpx/v1/log/consistency", old=gap.old, new=gap.new)
        proof = read_proof(answer.json().get("proof"))
        if answer.status != 200 or proof is None:
            raise PeerRefusedError(f"{answer.status}: no consistency proof", "no-answer")
        return proof

    async def _look_at_keys(self) -> None:
        """Other keys than the pinned ones explain why nothing verifies; a peer may come back so."""
        with contextlib.suppress(PeerUnreachableError):  # it is asked again
            published = await self._client.get_open("/.well-known/jwks.json")
            if published.status == 200:
                await asyncio.to_thread(
                    inspection.check_keys, self._own, self._peer, published.body
                )
