"""A link that loses, cuts, delays and repeats (simulated): a small HTTP proxy of the tests' own."""

import asyncio
import io
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random

import aiohttp
from aiohttp import web

FAULTS = (
    "lost request", "lost reply", "cut request", "cut reply", "stalled reply", "stalled request",
    "repeated", "later",
)  # fmt: skip
_HOP = frozenset({"host", "connection", "content-length", "transfer-encoding", "accept-encoding"})


@dataclass
class FaultyLink:
    """Passes requests on to one node, some of them badly.

    Args:
        target: The node's URL.
        random: Seeded, so that a run can be repeated.
        share: How many of a hundred requests meet a fault.
    """

    target: str
    random: Random
    share: int = 20
    seen: Counter[str] = field(default_factory=Counter)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        fault = self.random.choice(FAULTS) if self.random.randrange(100) < self.share else "none"
        self.seen[fault] += 1
        if fault == "lost request":
            return _hang_up(request)
        if fault == "later":
            return web.Response(status=503, headers={"Retry-After": "0"})
        if fault == "stalled request":
            await asyncio.sleep(self.random.uniform(0.05, 0.3))
        if fault == "cut request":
            await self._ask(request, body, self.random.randrange(len(body)) if body else 0)
            return _hang_up(request)
        if fault == "repeated":
            await self._ask(request, body)
        answer = await self._ask(request, body)
        if answer is None or fault == "lost reply":
            return _hang_up(request)
        if fault == "stalled reply":
            await asyncio.sleep(self.random.uniform(0.05, 0.3))
        if fault == "cut reply" and len(answer.body) > 1:
            return await self._cut(request, answer)
        return web.Response(
            status=answer.status, body=answer.body,
            headers={"Content-Type": answer.type} if answer.type else {},
        )  # fmt: skip

    async def _ask(
        self, request: web.Request, body: bytes, cut_at: int | None = None
    ) -> "_Answer | None":
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _HOP}

        async def pieces() -> AsyncIterator[bytes]:
            yield body[:cut_at]
            raise ConnectionResetError("the link breaks here")

        data = (io.BytesIO(body) if body else None) if cut_at is None else pieces()
        try:
            async with (
                aiohttp.ClientSession(auto_decompress=False) as session,
                session.request(
                    request.method, self.target + request.raw_path, data=data, headers=headers
                ) as response,
            ):
                found = response.headers.get("Content-Type", "")
                return _Answer(response.status, await response.read(), found)
        except (aiohttp.ClientError, OSError):
            return None

    async def _cut(self, request: web.Request, answer: "_Answer") -> web.StreamResponse:
        response = web.StreamResponse(
            status=answer.status,
            headers={"Content-Type": answer.type, "Content-Length": str(len(answer.body))},
        )
        await response.prepare(request)
        await response.write(answer.body[: self.random.randrange(1, len(answer.body))])
        return _hang_up(request)


@dataclass(frozen=True)
class _Answer:
    status: int
    body: bytes
    type: str


def _hang_up(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


@asynccontextmanager
async def linked(link: FaultyLink, port: int) -> AsyncIterator[None]:
    """The link, listening on a port of this machine."""
    app = web.Application(client_max_size=16 * 1024 * 1024)
    app.router.add_route("*", "/{tail:.*}", link.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "localhost", port).start()
        yield
    finally:
        await runner.cleanup()
