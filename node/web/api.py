"""What the console tells as JSON: health and the read models of `node.watch`."""

import asyncio
from collections.abc import Callable
from typing import Any

from aiohttp import web

from node.authority import OwnAuthority
from node.errors import LedgerUnavailableError, NotFoundError, ProblemError
from node.ledger import entries
from node.watch import journey, peers
from node.watch.system import system


def routes(own: OwnAuthority) -> list[web.RouteDef]:
    """The routes."""

    async def healthz(_: web.Request) -> web.Response:
        return web.json_response({"ok": True, "authority": own.name, "sandbox": own.sandbox})

    async def readyz(_: web.Request) -> web.Response:
        # Peers that are down never make a node unready: it would be taken out for their fault.
        try:
            await asyncio.to_thread(own.ledger.read, entries.size)
            because = await asyncio.to_thread(peers.stopped, own)
        except LedgerUnavailableError as error:
            because = str(error)
        status = 200 if because is None else 503
        return web.json_response({"ready": because is None, "because": because}, status=status)

    async def read_status(_: web.Request) -> web.Response:
        return await _json(peers.status, own)

    async def read_peer(request: web.Request) -> web.Response:
        return await _json(peers.peer, own, request.match_info["authority"])

    async def read_system(_: web.Request) -> web.Response:
        return await _json(system, own)

    async def read_certificate(request: web.Request) -> web.Response:
        return await _json(journey.certificate, own, request.match_info["number"])

    async def read_document(request: web.Request) -> web.Response:
        return await _json(journey.document, own, request.match_info["doc_id"])

    return [
        web.get("/healthz", healthz),
        web.get("/readyz", readyz),
        web.get("/api/v1/status", read_status),
        web.get("/api/v1/peers/{authority}", read_peer),
        web.get("/api/v1/system", read_system),
        web.get("/api/v1/certificates/{number:.+}/timeline", read_certificate),
        web.get("/api/v1/documents/{doc_id}/journey", read_document),
    ]


async def _json(read: Callable[..., Any], *arguments: Any) -> web.Response:
    try:
        return web.json_response(await asyncio.to_thread(read, *arguments))
    except NotFoundError as error:
        raise ProblemError("not-found", str(error)) from None
