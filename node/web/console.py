"""The console listener: health and status as JSON."""

import asyncio

from aiohttp import web
from aiohttp.typedefs import Handler

from node.authority import OwnAuthority
from node.config import is_loopback
from node.errors import ProblemError
from node.exchange.status import status
from node.web import problems


def application(own: OwnAuthority) -> web.Application:
    """The application of the console listener; reads only."""

    async def healthz(_: web.Request) -> web.Response:
        return web.json_response({"ok": True, "authority": own.name, "sandbox": own.sandbox})

    async def read_status(_: web.Request) -> web.Response:
        return web.json_response(await asyncio.to_thread(status, own))

    @web.middleware
    async def own_host(request: web.Request, handler: Handler) -> web.StreamResponse:
        # A page elsewhere must not read a loopback console through a rebound name.
        if not is_loopback(f"http://{request.host}") and is_loopback(
            f"http://{own.config.node.console.host}"
        ):
            raise ProblemError("not-found", "no such host")
        return await handler(request)

    app = web.Application(middlewares=[problems.middleware, own_host])
    app.add_routes([web.get("/healthz", healthz), web.get("/api/v1/status", read_status)])
    return app
