"""Fetching what a peer has for us, where it cannot call (protocol section 4, pull).

A round asks for the peer's position, takes in each bundle through the same door as a pushed one, and
posts the receipt. What the peer has not seen acknowledged is fetched again: the receipt of a bundle
that is held already is found and posted once more.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from node import bundle
from node.authority import OwnAuthority
from node.errors import ProblemError
from node.exchange.client import PeerClient
from node.exchange.receive import Receiver
from node.exchange.refusal import PeerRefusedError, refusal
from node.ids import Authority
from node.ledger import streams

LIMIT = bundle.MAX_DOCUMENTS


class Fetcher:
    """Pulls from one peer."""

    def __init__(self, own: OwnAuthority, peer: Authority, client: PeerClient) -> None:
        self._own = own
        self._peer = peer
        self._client = client
        self._receiver = Receiver(own)

    async def fetch(self, position: Mapping[str, Any], *, heartbeat: bool) -> int:
        """Take in everything that waits at the peer; returns how many documents came.

        Args:
            position: What the peer has just answered to the question for its position.
            heartbeat: Whether to fetch at least an empty bundle.

        Raises:
            PeerUnreachableError: No answer.
            PeerRefusedError: No bundle, or none that may be taken in.
        """
        sent = position.get("sent")
        last, acknowledged = _count(sent, "last"), _count(sent, "acknowledged")
        have, fetched = await asyncio.to_thread(self._have), 0
        after = min(have, acknowledged)
        while heartbeat or after < last:
            heartbeat = False
            count = await self._one(after)
            if count == 0:
                break
            fetched, after = fetched + count, after + count
        return fetched

    async def _one(self, after: int) -> int:
        answer = await self._client.get_bundle(after=after, limit=LIMIT)
        if answer.status != 200:
            raise refusal(answer)
        manifest, _, rest = answer.body.partition(b"\n")
        try:
            receipt = await asyncio.to_thread(self._take_in, manifest, rest)
        except ProblemError as problem:
            # The other side cannot be answered otherwise; without the statement of a fork it would
            # never hear of it.
            if statement := problem.members.get("statement"):
                await self._client.post_receipt(str(statement).encode())
            text = f"refused here: {problem.code}: {problem}"
            again = problem.code in ("proof-needed", "stream-fork")
            raise PeerRefusedError(text, problem.code, at_cap=not again) from None
        posted = await self._client.post_receipt(receipt)
        if posted.status != 204:
            raise refusal(posted)
        return rest.count(b"\n")

    def _take_in(self, manifest: bytes, rest: bytes) -> bytes:
        opened = self._receiver.open(manifest)
        if opened.peer != self._peer:
            raise ProblemError("wrong-audience", f"expected a bundle of {self._peer}")
        return self._receiver.receive(opened, rest)

    def _have(self) -> int:
        place = self._own.ledger.read(lambda tx: streams.received_place(tx, self._peer))
        assert place is not None
        return place.position


def _count(sent: Any, name: str) -> int:
    value = sent.get(name) if isinstance(sent, dict) else None
    return value if type(value) is int and value >= 0 else 0
