"""The console listener: pages, health and metrics, which only read, and the API."""

import asyncio
import ipaddress
from collections.abc import Callable
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

from node.authority import OwnAuthority
from node.config import is_loopback
from node.errors import ProblemError
from node.web import api, metrics, pages, problems
from node.web.rooms import Rooms

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def _is_own(host: str, console: str) -> bool:
    """Whether a Host is this machine's, an address, or the very name the console listens on."""
    name = urlsplit(f"http://{host}").hostname or ""
    if is_loopback(f"http://{host}") or name == console:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return not is_loopback(f"http://{console}")


def application(
    own: OwnAuthority, acted: Callable[[], None], closing: asyncio.Event | None = None
) -> web.Application:
    """The application of the console listener.

    Args:
        own: The node.
        acted: Called after each act of the API.
        closing: Set as soon as the node is being stopped.
    """

    @web.middleware
    async def own_host(request: web.Request, handler: Handler) -> web.StreamResponse:
        # A page elsewhere must not read the console through a name that was bound to it.
        if not _is_own(request.host, own.config.node.console.host):
            raise ProblemError("not-found", "no such host")
        return await handler(request)

    async def harden(request: web.Request, response: web.StreamResponse) -> None:
        response.headers.setdefault("X-Request-Id", request.get(problems.REQUEST_ID, ""))
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)

    app = web.Application(middlewares=[problems.middleware, own_host])
    app.on_response_prepare.append(harden)
    closing, rooms = closing or asyncio.Event(), Rooms()

    async def close(_: web.Application) -> None:
        closing.set()  # streams end; who listens connects again once a node is there
        rooms.close()

    app.on_shutdown.append(close)
    pulse = pages.Pulse(own, closing)
    app.add_routes(
        [*api.routes(own, acted, closing, rooms), *metrics.routes(own), *pages.routes(own, pulse)]
    )
    return app
