"""The node's eye on what others change: the ledger by commands, settings, keys and tables by hand."""

import asyncio
import os
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import NamedTuple

import structlog

from node.authority import OwnAuthority
from node.config import PEERS_FILE, REFERENCE_FOLDER, Config
from node.domain.reference import FILES as REFERENCE_FILES
from node.errors import ConfigError, LedgerUnavailableError, NodeError
from node.exchange.dispatch import Dispatch
from node.ledger import deliveries, entries, profiles, register, subscribers
from node.ledger.database import Transaction
from node.ledger.subscribers import Subscriber
from node.office.attend import attend, wanted
from node.tls import files as tls_files
from node.tls import renew
from node.web.hooks import Hooks

WATCH_S = 1.0
"""Commands write beside a running node; it notices within two seconds."""

REJUDGE_S = 600.0
"""A clock that was wrong, or a date that comes, lets refused documents pass."""

log = structlog.get_logger()

Reread = Callable[[OwnAuthority], Config]
"""Reads a home's settings, and takes its own keys over, as they are now."""

JudgedBy = tuple[int, int]
"""What judgements go by beside certificates: the newest alert and profile."""


async def watch(
    own: OwnAuthority,
    reread: Reread,
    dispatch: Dispatch,
    hooks: Hooks,
    before: JudgedBy,
    stop: asyncio.Event,
    tls: ssl.SSLContext | None,
) -> None:
    """Look once a second at everything: a process that wakes up costs more than what it looks at.

    What takes its time is done beside it.

    Args:
        own: The node.
        reread: Reads a home's settings again after a change, and takes its own keys over.
        dispatch: Its couriers.
        hooks: Its webhooks.
        before: What documents have been judged by so far.
        stop: Ends it.
        tls: Of the listener, to be renewed.
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
            if seen.judged_by != before:
                before, judged_at = seen.judged_by, -REJUDGE_S
            # Looked at before they are read: what changes meanwhile is taken over the next time.
            if seen.stamps != stamps:
                await _reload(own, reread, dispatch, tls)
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
    judged_by: JudgedBy
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
            judged_by(tx), subscribers.listed(tx), stamps,
        )
    )  # fmt: skip


def judged_by(tx: Transaction) -> JudgedBy:
    """What judgements go by now."""
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
    own: OwnAuthority, reread: Reread, dispatch: Dispatch, tls: ssl.SSLContext | None
) -> None:
    try:
        config = await asyncio.to_thread(reread, own)
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
    tell_peers(own)


def tell_peers(own: OwnAuthority) -> None:
    """Write down which peers there are, and which are stopped."""
    log.info("peers", peers=sorted(own.book.ring))
    for peer, reason in own.book.stopped.items():
        log.error("peer stopped", peer=peer, reason=reason)


def _watched(config: Config) -> list[str]:
    """The files that say who the peers are."""
    key_sets = (peer.jwks for peer in config.peers)
    tables = (config.home / REFERENCE_FOLDER / name for name in REFERENCE_FILES)
    tls = tls_files(config.tls, config.peers)
    return [
        str(path)
        for path in (config.home / PEERS_FILE, config.node.key_set, *key_sets, *tables, *tls)
    ]


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
