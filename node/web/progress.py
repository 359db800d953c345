"""Long work of the API told as it goes on (server-sent events): progress, then the answer.

The stream only tells. Who loses it sends the request again with its key and gets the answer.
"""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from aiohttp import web

from node.progress import Progress

MEDIA_TYPE = "text/event-stream"
EVERY_S = 0.2
"""Between two reports; it also keeps the connection."""


def wanted(request: web.Request) -> bool:
    """Whether a caller asks for a stream."""
    return MEDIA_TYPE in request.headers.get("Accept", "")


async def told(
    request: web.Request, work: Callable[[Progress], dict[str, Any]]
) -> web.StreamResponse:
    """Do work on a thread and tell of it.

    Args:
        request: Of whom is told.
        work: Never raises; returns what the last event says.
    """
    response = web.StreamResponse(headers={"Content-Type": MEDIA_TYPE})
    state: dict[str, Any] = {}

    def progress(what: str, done: int, total: int) -> None:
        state.update(what=what, done=done, total=total)

    doing = asyncio.ensure_future(asyncio.to_thread(work, progress))
    with suppress(ConnectionError):  # the caller has left; what he asked for is done all the same
        await response.prepare(request)
        while not (await asyncio.wait({doing}, timeout=EVERY_S))[0]:
            if state:
                await _send(response, "progress", dict(state))
        await _send(response, "answer", doing.result())
    await asyncio.wait({doing})
    return response


async def _send(response: web.StreamResponse, event: str, data: dict[str, Any]) -> None:
    text = json.dumps(data, ensure_ascii=False)
    await response.write(f"event: {event}\ndata: {text}\n\n".encode())
