"""What the console tells as JSON: health and the read models of `node.watch`."""

import asyncio
from collections.abc import Callable
from typing import Any

from aiohttp import web

from node.authority import OwnAuthority
from node.errors import LedgerUnavailableError, NotFoundError, ProblemError
from node.ledger import entries
from node.watch import correspondence, journey, peers, worklists
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

    async def read_work(_: web.Request) -> web.Response:
        return await _json(lambda: {"items": worklists.overview(own), "next": None})

    async def read_list(request: web.Request) -> web.Response:
        within = _days(request.query.get("within", str(worklists.WITHIN_DAYS)))
        return await _json(_list, own, request.match_info["list"], within)

    async def read_alerts(request: web.Request) -> web.Response:
        number, ended = request.query.get("number"), "all" in request.query
        return await _json(lambda: correspondence.alerts(own, number, ended=ended))

    async def read_alert(request: web.Request) -> web.Response:
        return await _json(correspondence.alert, own, request.match_info["doc_id"])

    async def read_inquiries(request: web.Request) -> web.Response:
        return await _json(correspondence.inquiries_after, own, request.query.get("after", ""))

    async def read_inquiry(request: web.Request) -> web.Response:
        return await _json(correspondence.inquiry, own, request.match_info["doc_id"])

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
        web.get("/api/v1/work", read_work),
        web.get("/api/v1/work/{list}", read_list),
        web.get("/api/v1/alerts", read_alerts),
        web.get("/api/v1/alerts/{doc_id}", read_alert),
        web.get("/api/v1/inquiries", read_inquiries),
        web.get("/api/v1/inquiries/{doc_id}", read_inquiry),
        web.get("/api/v1/certificates/{number:.+}/timeline", read_certificate),
        web.get("/api/v1/documents/{doc_id}/journey", read_document),
    ]


def _list(own: OwnAuthority, name: str, within_days: int) -> dict[str, Any]:
    if name not in worklists.LISTS:
        raise NotFoundError(f"no list {name}; there are {', '.join(worklists.LISTS)}")
    return {"items": worklists.read(own, name, within_days=within_days), "next": None}


def _days(text: str) -> int:
    """A number of days, as the command line takes it.

    Raises:
        ProblemError: ``bad-request``.
    """
    text = text.removesuffix("d")
    if not (text.isascii() and text.isdigit() and len(text) < 5):
        raise ProblemError("bad-request", f"within: expected a number of days, got {text!r:.40}")
    return int(text)


async def _json(read: Callable[..., Any], *arguments: Any) -> web.Response:
    try:
        return web.json_response(await asyncio.to_thread(read, *arguments))
    except NotFoundError as error:
        raise ProblemError("not-found", str(error)) from None
