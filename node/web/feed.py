"""The events as a stream that stays open (server-sent events): whoever comes back misses nothing."""

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from aiohttp import web

from node.authority import OwnAuthority
from node.watch import events

LOOK_S = 0.5
COMMENT_S = 15.0
"""A comment so often keeps the connection, and finds out that nobody listens any more."""


async def stream(
    own: OwnAuthority,
    request: web.Request,
    query: Mapping[str, Any],
    closing: asyncio.Event,
) -> web.StreamResponse:
    """Send events as they happen, beginning after the last one that the caller has."""
    known = request.headers.get("Last-Event-ID", "")
    after = (
        int(known) if known.isascii() and known.isdigit() and len(known) < 17 else query["after"]
    )
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    with suppress(ConnectionError):  # the caller has left
        await response.prepare(request)
        await _send(own, response, after, closing)
    return response


async def _send(
    own: OwnAuthority, response: web.StreamResponse, after: int, closing: asyncio.Event
) -> None:
    loop = asyncio.get_running_loop()
    said_at = loop.time()
    while not closing.is_set():
        found = (await asyncio.to_thread(events.after, own, after, 500))["items"]
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
