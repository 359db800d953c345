"""Nodes behind real sockets on loopback, for tests of what crosses the wire."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
from aiohttp import web

from node.authority import OwnAuthority
from node.exchange.courier import Courier, Round
from node.exchange.dispatch import Dispatch
from node.ids import Authority
from node.tls import server_context
from node.web import console, peer_listener
from node.web.limits import Limits
from node.web.serving import listen

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def listening(own: OwnAuthority, limits: Limits | None = None) -> AsyncIterator[str]:
    """The peer listener and console of a node, without its couriers; yields the URL."""
    node = own.config.node
    async with AsyncExitStack() as stack:
        tls = server_context(own.config.tls, own.config.peers)
        await listen(
            stack, peer_listener.application(own, lambda _: None, limits), node.listen, tls
        )
        await listen(stack, console.application(own, lambda: None), node.console)
        yield node.url
    await hung_up()


async def hung_up() -> None:
    """Wait for connections that are being closed: a body that was refused early is still on its way."""
    transports = asyncio.get_running_loop()._transports.values()  # type: ignore[attr-defined]
    await until(lambda: not any(t.is_closing() and t._sock for t in list(transports)))


@asynccontextmanager
async def faulty(
    own: OwnAuthority, handler: Handler, tls: ssl.SSLContext | None = None
) -> AsyncIterator[None]:
    """In the place of a node: a server of the test's own that answers as it likes."""
    app = web.Application(client_max_size=16 * 1024 * 1024)
    app.router.add_route("*", "/{tail:.*}", handler)
    async with AsyncExitStack() as stack:
        await listen(stack, app, own.config.node.listen, tls)
        yield


@asynccontextmanager
async def courier(own: OwnAuthority, peer: str) -> AsyncIterator[Courier]:
    """A courier of a node to a peer."""
    async with aiohttp.ClientSession() as session:
        yield Dispatch(own, session, "test").courier(Authority(peer))


async def deliver(own: OwnAuthority, peer: str, *, heartbeat: bool = True) -> Round:
    """One exchange round."""
    async with courier(own, peer) as worker:
        return await worker.round(heartbeat=heartbeat)


async def until(condition: Callable[[], bool], within_s: float = 20.0) -> None:
    """Wait for something other tasks bring about; the test fails if they do not."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - what is waited for is in a database
            await asyncio.sleep(0.02)
