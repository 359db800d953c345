"""The running node: both listeners, the couriers, and all that goes on beside them."""

import asyncio
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack

import aiohttp
import structlog
from aiohttp import web

from node.authority import OwnAuthority
from node.config import Endpoint
from node.crew import seldom_collect
from node.errors import ConfigError, LedgerUnavailableError
from node.exchange.client import new_session
from node.exchange.dispatch import Dispatch
from node.ledger import alerts, peers
from node.tls import server_context
from node.watch import conditions
from node.watch.tell import tell
from node.web import console, peer_listener, supervisor
from node.web.hooks import Hooks
from node.web.watching import WATCH_S, Reread, judged_by, tell_peers, watch

HOLDER = "serve"

LOOK_S = 10.0
"""Between two looks at the conditions of alerts."""

THREADS = 48
SHUTDOWN_S = 10.0
LINGER_S = 2.0
"""How long the rest of a refused body is still read, so that the answer gets through."""

log = structlog.get_logger()


async def serve(
    own: OwnAuthority, reread: Reread, stop: asyncio.Event, ready: Callable[[], None]
) -> None:
    """Run a node until `stop` is set.

    Args:
        own: The node.
        reread: Reads a home's settings again after a change, and takes its own keys over.
        stop: Ends it; requests under way are answered first.
        ready: Called once both listeners accept.

    Raises:
        ConfigError: ``cannot-listen``.
    """
    seldom_collect()
    # Name service blocks a thread each; those of peers that are away must not hold up the rest.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS, "node"))
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(new_session())
        dispatch = Dispatch(own, session, HOLDER)
        tls = server_context(own.config.tls, own.config.peers)
        peer_app = peer_listener.application(own, dispatch.wake_peer)
        await listen(stack, peer_app, own.config.node.listen, tls)
        console_app = console.application(own, dispatch.wake, stop)
        await listen(stack, console_app, own.config.node.console)
        # Only one process can have this port, so what a former one still holds is nobody's.
        await asyncio.to_thread(own.ledger.write, lambda tx: peers.drop_leases(tx, HOLDER))
        before = await asyncio.to_thread(own.ledger.read, judged_by)
        stack.push_async_callback(dispatch.stop)
        await dispatch.start()
        tell_peers(own)
        ready()
        supervisor.tell("READY=1")
        stack.callback(supervisor.tell, "STOPPING=1")
        for task in (_look(own, session), *([_alive()] if supervisor.listens() else [])):
            stack.push_async_callback(_end, asyncio.create_task(task))
        hooks = Hooks(own, session)
        stack.push_async_callback(hooks.stop)
        await watch(own, reread, dispatch, hooks, before, stop, tls)


async def _alive() -> None:
    """Tell the supervisor that the loop turns; a ledger that another process holds is no fault."""
    while True:
        supervisor.tell("WATCHDOG=1")
        await asyncio.sleep(WATCH_S)


async def _look(own: OwnAuthority, session: aiohttp.ClientSession) -> None:
    """Hold the conditions of alerts against what is, for as long as the node runs."""
    # What is open from before is told again: it may have ended before anybody was told.
    open_before = await asyncio.to_thread(own.ledger.read, alerts.opened)
    async with asyncio.TaskGroup() as telling:
        telling.create_task(_tell(own, session, conditions.Changed(open_before, [])))
        while True:
            try:
                changed = await asyncio.to_thread(conditions.look, own)
                if changed.began or changed.ended:
                    telling.create_task(_tell(own, session, changed))
            except LedgerUnavailableError as error:
                log.error("ledger unavailable", error=str(error))
            except Exception:
                log.exception("alerts")
            await asyncio.sleep(LOOK_S)


async def _tell(
    own: OwnAuthority, session: aiohttp.ClientSession, changed: conditions.Changed
) -> None:
    try:
        await tell(own, session, changed)
    except Exception:  # whatever it is, alerts go on
        log.exception("alerts")


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def listen(
    stack: AsyncExitStack,
    app: web.Application,
    endpoint: Endpoint,
    tls: ssl.SSLContext | None = None,
) -> None:
    """Serve an application until the stack unwinds.

    Raises:
        ConfigError: ``cannot-listen``.
    """
    runner = web.AppRunner(
        app,
        access_log=None,
        shutdown_timeout=SHUTDOWN_S,
        lingering_time=LINGER_S,
        auto_decompress=False,  # no coding is accepted, so none is tried
    )
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    try:
        await web.TCPSite(runner, endpoint.host, endpoint.port, ssl_context=tls).start()
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {endpoint.host}:{endpoint.port}: {error.strerror or error}",
            code="cannot-listen",
        ) from None
