"""The events as a stream that stays open (server-sent events): whoever comes back misses nothing."""

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from aiohttp import web

from node.authority import OwnAuthority
from node.office.access import NoAccessError
from node.watch import events
from node.web.rooms import Rooms

LOOK_S = 0.5
AT_ONCE = 500
"""Events read at a time."""

CHECK_S = 2.0
"""A token that has ended or was revoked ends its streams so soon."""

COMMENT_S = 15.0
"""A comment so often keeps the connection, and finds out that nobody listens any more."""


async def stream(
    own: OwnAuthority,
    request: web.Request,
    query: Mapping[str, Any],
    closing: asyncio.Event,
    still: Callable[[], None],
    rooms: Rooms,
) -> web.StreamResponse:
    """Send events as they happen, beginning after the last one that the caller has.

    Args:
        own: Whose.
        request: The caller's.
        query: ``after``.
        closing: Ends it.
        still: Raises once the caller may read no more.
        rooms: Where it is read.
    """
    known = request.headers.get("Last-Event-ID", "")
    after = (
        int(known) if known.isascii() and known.isdigit() and len(known) < 17 else query["after"]
    )
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    with suppress(ConnectionError):  # the caller has left
        await response.prepare(request)
        await _send(own, response, after, closing, still, rooms)
    return response


async def _send(
    own: OwnAuthority,
    response: web.StreamResponse,
    after: int,
    closing: asyncio.Event,
    still: Callable[[], None],
    rooms: Rooms,
) -> None:
    loop = asyncio.get_running_loop()
    said_at = checked_at = loop.time()
    while not closing.is_set():
        if loop.time() - checked_at > CHECK_S:
            checked_at = loop.time()
            try:
                await rooms.follow(still)
            except NoAccessError:
                return
        found = (await rooms.follow(partial(events.after, own, after, AT_ONCE)))["items"]
        for event in found:
            after, text = int(event["id"]), json.dumps(event, ensure_ascii=False)
            await response.write(f"id: {after}\nevent: {event['type']}\ndata: {text}\n\n".encode())
        if not found and loop.time() - said_at > COMMENT_S:
            await response.write(b": still\n\n")
        if found or loop.time() - said_at > COMMENT_S:
            said_at = loop.time()
        if not found:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await closing.wait()
