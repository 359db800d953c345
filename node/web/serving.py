"""The running node: both listeners, the couriers, and an eye on what others change."""

import asyncio
import os
import ssl
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import aiohttp
import structlog
from aiohttp import web

from node.authority import OwnAuthority
from node.config import PEERS_FILE, REFERENCE_FOLDER, Config, Endpoint
from node.crew import seldom_collect
from node.domain.reference import FILES as REFERENCE_FILES
from node.errors import ConfigError, LedgerUnavailableError, NodeError
from node.exchange.client import new_session
from node.exchange.dispatch import Dispatch
from node.ledger import alerts, deliveries, entries, peers, profiles, register, subscribers
from node.ledger.database import Transaction
from node.ledger.subscribers import Subscriber
from node.office.attend import attend, wanted
from node.tls import files as tls_files
from node.tls import renew, server_context
from node.watch import conditions
from node.watch.tell import tell
from node.web import console, peer_listener, supervisor
from node.web.hooks import Hooks

HOLDER = "serve"

WATCH_S = 1.0
"""Commands write beside a running node; it notices within two seconds."""

LOOK_S = 10.0
"""Between two looks at the conditions of alerts."""

REJUDGE_S = 600.0
"""A clock that was wrong, or a date that comes, lets refused documents pass."""

THREADS = 48
SHUTDOWN_S = 10.0
LINGER_S = 2.0
"""How long the rest of a refused body is still read, so that the answer gets through."""

log = structlog.get_logger()

ReadConfig = Callable[[Path], Config]

_JudgedBy = tuple[int, int]
"""What judgements go by beside certificates: the newest alert and profile."""


async def serve(
    own: OwnAuthority, read_config: ReadConfig, stop: asyncio.Event, ready: Callable[[], None]
) -> None:
    """Run a node until `stop` is set.

    Args:
        own: The node.
        read_config: Reads a home's settings again after a change.
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
        judged_by = await asyncio.to_thread(own.ledger.read, _judged_by)
        stack.push_async_callback(dispatch.stop)
        await dispatch.start()
        _tell_peers(own)
        ready()
        supervisor.tell("READY=1")
        stack.callback(supervisor.tell, "STOPPING=1")
        for task in (_look(own, session), *([_alive()] if supervisor.listens() else [])):
            stack.push_async_callback(_end, asyncio.create_task(task))
        hooks = Hooks(own, session)
        stack.push_async_callback(hooks.stop)
        await _watch(own, read_config, dispatch, hooks, judged_by, stop, tls)


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


async def _watch(
    own: OwnAuthority,
    read_config: ReadConfig,
    dispatch: Dispatch,
    hooks: Hooks,
    judged_by: _JudgedBy,
    stop: asyncio.Event,
    tls: ssl.SSLContext | None,
) -> None:
    """One look a second for everything: a process that wakes up costs more than what it looks at.

    What takes its time is done beside it.
    """
    known, attended, judged_at = (0, -1), (0, -1), time.monotonic()
    watched = _watched(own.config)
    stamps, seen = _stamps(watched), None
    attending = judging = asyncio.create_task(asyncio.sleep(0))
    while not stop.is_set():
        with suppress(TimeoutError):
            async with asyncio.timeout(WATCH_S):
                await stop.wait()
        if (error := dispatch.failed()) is not None:
            raise error
        try:
            seen = await asyncio.to_thread(_see, own, watched, seen)
            hooks.tell(seen.webhooks)
            # Counted as well, as most comes in through this process.
            if (now := (seen.version[0], seen.size)) != known:
                known = now
                dispatch.work_for(seen.work)
            if seen.attention and seen.version != attended and attending.done():
                attended = seen.version
                attending = asyncio.create_task(_see_to(partial(attend, own), dispatch))
            if seen.judged_by != judged_by:
                judged_by, judged_at = seen.judged_by, -REJUDGE_S
            # Looked at before they are read: what changes meanwhile is taken over the next time.
            if seen.stamps != stamps:
                await _reload(own, read_config, dispatch, tls)
                stamps = seen.stamps
                if (after := _watched(own.config)) != watched:
                    # The new ones are looked at before they are read, too.
                    watched, stamps = after, []
            if time.monotonic() - judged_at > REJUDGE_S and judging.done():
                judged_at = time.monotonic()
                judging = asyncio.create_task(_see_to(dispatch.judge_quarantine, dispatch))
        except LedgerUnavailableError as error:
            log.error("ledger unavailable", error=str(error))
    await asyncio.gather(attending, judging)


_Stamps = list[tuple[int, int] | None]


class _Seen(NamedTuple):
    """What a look finds.

    Attributes:
        version: Of the ledger.
        size: How many entries it has.
        work: The peers that something waits for.
        attention: Whether there is something that needs no officer.
        stamps: How the files look that say who the peers are.
    """

    version: tuple[int, int]
    size: int
    work: set[str]
    attention: bool
    judged_by: _JudgedBy
    webhooks: list[Subscriber]
    stamps: _Stamps


def _see(own: OwnAuthority, watched: list[str], before: _Seen | None) -> _Seen:
    """Look; where nobody has written since, the ledger is not read."""
    stamps, version = _stamps(watched), own.ledger.version()
    if before is not None and before.version == version:
        return before._replace(stamps=stamps)
    return own.ledger.read(
        lambda tx: _Seen(
            version, entries.size(tx), deliveries.with_work(tx), wanted(tx, own),
            _judged_by(tx), subscribers.listed(tx), stamps,
        )
    )  # fmt: skip


def _judged_by(tx: Transaction) -> _JudgedBy:
    return register.newest(tx), profiles.newest(tx)


async def _see_to(work: Callable[[], object], dispatch: Dispatch) -> None:
    """Do what needs no officer; what cannot be done now is tried again after the next write."""
    try:
        await asyncio.to_thread(work)
    except NodeError as error:
        log.error("not attended to", code=error.code, error=str(error))
    except Exception:  # whatever it is, the node goes on
        log.exception("not attended to")
    dispatch.wake()


async def _reload(
    own: OwnAuthority, read_config: ReadConfig, dispatch: Dispatch, tls: ssl.SSLContext | None
) -> None:
    try:
        config = await asyncio.to_thread(read_config, own.config.home)
        if tls is not None:
            renew(tls, own.config.tls, config.peers)
        await asyncio.to_thread(own.reload_peers, config)
    except ConfigError as error:
        log.error(
            "settings, keys, certificates or reference tables not taken over; the former ones stay",
            error=str(error),
        )
        return
    if (config.node, config.tls) != (own.config.node, own.config.tls):
        log.warning("[node] or [tls] has changed; that is taken over at the next start")
    await dispatch.start()
    _tell_peers(own)


def _tell_peers(own: OwnAuthority) -> None:
    log.info("peers", peers=sorted(own.book.ring))
    for peer, reason in own.book.stopped.items():
        log.error("peer stopped", peer=peer, reason=reason)


def _watched(config: Config) -> list[str]:
    """The files that say who the peers are."""
    key_sets = (peer.jwks for peer in config.peers)
    tables = (config.home / REFERENCE_FOLDER / name for name in REFERENCE_FILES)
    tls = tls_files(config.tls, config.peers)
    return [str(path) for path in (config.home / PEERS_FILE, *key_sets, *tables, *tls)]


def _stamps(files: list[str]) -> _Stamps:
    """Size and time of change of files."""
    stamps: _Stamps = []
    for path in files:
        try:
            stat = os.stat(path)
        except OSError:
            stamps.append(None)
        else:
            stamps.append((stat.st_size, stat.st_mtime_ns))
    return stamps
