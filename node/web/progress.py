"""Long work of the API told as it goes on (server-sent events): progress, then the answer.

The stream only tells. Who loses it sends the request again with its key and gets the answer.
"""

import asyncio
import json
import re
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any

from aiohttp import web

MEDIA_TYPE = "text/event-stream"
EVERY_S = 0.2
"""Between two reports; it also keeps the connection."""


def wanted(request: web.Request) -> bool:
    """Whether a caller asks for a stream (RFC 9110 section 12.5.1)."""
    for asked in request.headers.get("Accept", "").lower().split(","):
        kind, *parameters = (part.strip() for part in asked.split(";"))
        if kind == MEDIA_TYPE:
            return not any(re.fullmatch(r"q=0(\.0*)?", one) for one in parameters)
    return False


class Told:
    """Tells one caller how far work has come, and then its answer."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self._state: dict[str, Any] = {}

    def tell(self, what: str, done: int, total: int) -> None:
        """Progress, from the thread that does the work."""
        self._state.update(what=what, done=done, total=total)

    async def until(self, work: Awaitable[dict[str, Any]]) -> web.StreamResponse:
        """Tell until the work is done; what it returns is the last event.

        Who leaves meanwhile is told nothing more; an act he has asked for is done all the same.
        """
        response = web.StreamResponse(headers={"Content-Type": MEDIA_TYPE})
        doing = asyncio.ensure_future(work)
        with suppress(ConnectionError):
            await response.prepare(self._request)
            while not (await asyncio.wait({doing}, timeout=EVERY_S))[0]:
                if self._state:
                    await _send(response, "progress", dict(self._state))
            await _send(response, "answer", doing.result())
        await asyncio.wait({doing})
        return response


async def _send(response: web.StreamResponse, event: str, data: dict[str, Any]) -> None:
    text = json.dumps(data, ensure_ascii=False)
    await response.write(f"event: {event}\ndata: {text}\n\n".encode())
