"""The peer-facing listener (protocol section 4): well-known files and the KPX paths."""

import asyncio
from collections.abc import Callable
from typing import Any

from aiohttp import web
from structlog.contextvars import bind_contextvars as bind

from node.authority import OwnAuthority
from node.bundle import MEDIA_TYPE, PROTOCOL, RECEIPT_TYPE
from node.domain.kinds import accepted_types
from node.errors import ProblemError
from node.exchange import answers, tokens
from node.exchange.receive import Receiver
from node.ids import Authority
from node.log.note import vkey
from node.web import body, problems
from node.web.body import BundleBody, receipt_body
from node.web.limits import Limits

Contact = Callable[[Authority], None]
"""Called when a peer has been in contact with a valid bundle."""


def application(
    own: OwnAuthority, contact: Contact, limits: Limits | None = None
) -> web.Application:
    """The application of the peer listener."""
    handlers = _Handlers(own, contact, limits or Limits())
    app = web.Application(middlewares=[problems.middleware])
    app.add_routes(
        [
            web.get("/.well-known/kpx.json", handlers.about, allow_head=False),
            web.get("/.well-known/jwks.json", handlers.keys, allow_head=False),
            web.post("/kpx/v1/bundles", handlers.bundle, expect_handler=body.expected),
            web.get("/kpx/v1/bundles", handlers.waiting, allow_head=False),
            web.post("/kpx/v1/receipts", handlers.receipt, expect_handler=body.expected),
            web.get("/kpx/v1/position", handlers.position, allow_head=False),
            web.get("/kpx/v1/log/checkpoint", handlers.checkpoint, allow_head=False),
            web.get("/kpx/v1/log/inclusion", handlers.inclusion, allow_head=False),
            web.get("/kpx/v1/log/consistency", handlers.consistency, allow_head=False),
        ]
    )
    return app


def about(own: OwnAuthority) -> dict[str, Any]:
    """What ``/.well-known/kpx.json`` says."""
    node = own.config.node
    public = own.keys.keys[own.signers["log"].kid].raw
    return {
        "authority": own.name,
        "name": node.name,
        "versions": [PROTOCOL],
        "types": accepted_types(),
        "sandbox": own.sandbox,
        "url": node.url,
        "jwks": f"{node.url}/.well-known/jwks.json",
        "log": {
            "origin": own.checkpoints.origin,
            "vkey": vkey(own.checkpoints.origin, public),
        },
    }


class _Handlers:
    def __init__(self, own: OwnAuthority, contact: Contact, limits: Limits) -> None:
        self._own = own
        self._contact = contact
        self._limits = limits
        self._receiver = Receiver(own)

    async def about(self, _: web.Request) -> web.Response:
        return web.json_response(about(self._own))

    async def keys(self, _: web.Request) -> web.Response:
        return web.json_response(self._own.keys.as_json())

    async def bundle(self, request: web.Request) -> web.Response:
        read = BundleBody(request, self._limits.patience)
        with self._limits.opening(request.remote):
            opened = await asyncio.to_thread(self._receiver.open, await read.first_line())
        self._known(request, opened.peer)
        with self._limits.bundle(opened.peer):
            rest = b"" if opened.receipt is not None else await read.rest()
            receipt = await asyncio.to_thread(self._receiver.receive, opened, rest)
        bind(replay=opened.receipt is not None, documents=rest.count(b"\n"))
        self._contact(opened.peer)
        return web.Response(body=receipt, content_type=RECEIPT_TYPE)

    async def waiting(self, request: web.Request) -> web.Response:
        caller = await self._caller(request)
        with self._limits.bundle(caller):
            raw = await asyncio.to_thread(answers.bundle_for, self._own, caller, request.query)
        self._contact(caller)
        return web.Response(body=raw, content_type=MEDIA_TYPE)

    async def receipt(self, request: web.Request) -> web.Response:
        with self._limits.opening(request.remote):
            raw = await receipt_body(request, self._limits.patience)
            receipt = await asyncio.to_thread(answers.open_receipt, self._own, raw)
        self._known(request, receipt.iss)
        await asyncio.to_thread(answers.take_receipt, self._own, receipt)
        return web.Response(status=204)

    async def position(self, request: web.Request) -> web.Response:
        caller = await self._caller(request)
        return web.json_response(await asyncio.to_thread(answers.position, self._own, caller))

    async def checkpoint(self, request: web.Request) -> web.Response:
        await self._caller(request)
        return web.Response(text=await asyncio.to_thread(answers.checkpoint, self._own))

    async def inclusion(self, request: web.Request) -> web.Response:
        caller = await self._caller(request)
        return web.json_response(
            await asyncio.to_thread(answers.inclusion, self._own, caller, request.query)
        )

    async def consistency(self, request: web.Request) -> web.Response:
        await self._caller(request)
        return web.json_response(
            await asyncio.to_thread(answers.consistency, self._own, request.query)
        )

    async def _caller(self, request: web.Request) -> Authority:
        header = request.headers.get("Authorization")
        with self._limits.opening(request.remote):
            peer = await asyncio.to_thread(tokens.check, self._own, header, request.raw_path)
        self._known(request, peer)
        return peer

    def _known(self, request: web.Request, peer: Authority) -> None:
        """A caller whose signature is checked: its share of requests, and its connection.

        Raises:
            ProblemError: ``too-many-requests``, or ``unknown-peer`` where its pinned client
                certificate is not the connection's.
        """
        bind(peer=peer)
        self._limits.count(peer)
        pin = self._own.book.client_certificates.get(peer)
        if pin is None:
            return
        tls = request.transport.get_extra_info("ssl_object") if request.transport else None
        if tls is None or tls.getpeercert(binary_form=True) != pin:
            raise ProblemError("unknown-peer", f"expected the client certificate of {peer}")
