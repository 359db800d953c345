"""The console's pages: server-rendered, complete without JavaScript, live with it. Read-only."""

import asyncio
import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib import resources
from typing import Any

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from node.authority import OwnAuthority
from node.clock import at, iso
from node.errors import NotFoundError
from node.incidents import INCIDENTS
from node.ledger import alerts, certificates, entries
from node.ledger.database import Transaction
from node.watch import correspondence, figures, journey, peers, worklists
from node.watch.conditions import CONDITIONS
from node.watch.peers import STATES
from node.watch.system import system
from node.web import browser

PAGE = 50
PULSE_S = 2.0
"""How often a page that is open may learn of a change."""

MARKS = {
    "in sync": "●", "behind": "◐", "carry due": "◐", "paused": "‖", "silent": "○",
    "refused": "✕", "incident": "▲",
}  # fmt: skip
"""A shape for each state, as colour alone says nothing to many."""

_MEDIA = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}

Page = Callable[[web.Request], dict[str, Any]]


def routes(own: OwnAuthority, pulse: "Pulse") -> list[web.RouteDef]:
    """The routes of all pages, of what they load, and of the events that keep them live."""

    def page(path: str, template: str, read: Page) -> web.RouteDef:
        async def handler(request: web.Request) -> web.Response:
            try:
                facts = await asyncio.to_thread(read, request)
            except NotFoundError as error:
                missing = {"text": str(error)}
                return await asyncio.to_thread(_page, own, request, "missing.html", missing, 404)
            return await asyncio.to_thread(_page, own, request, template, facts)

        return web.get(path, handler)

    async def static(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        found = _static().get(name)
        if found is None:
            raise web.HTTPNotFound
        headers = {"Cache-Control": "max-age=86400"}
        kind = _MEDIA[name.rpartition(".")[2]]
        return web.Response(body=found, content_type=kind, charset="utf-8", headers=headers)

    return [
        page("/", "peers.html", lambda _: peers.status(own)),
        page("/peers/{authority}", "peer.html", lambda r: _one(own, r.match_info["authority"])),
        page("/queue", "queue.html", lambda _: _queue(own)),
        page("/incidents", "incidents.html", lambda _: peers.status(own)),
        page("/ledger", "ledger.html", lambda r: _ledger(own, r)),
        page("/system", "system.html", lambda _: {"node": system(own)}),
        page("/docs", "docs.html", lambda r: browser.page(f"{r.scheme}://{r.host}")),
        page("/work", "work.html", lambda _: _work(own)),
        page("/alerts", "alerts.html", lambda r: _alerts(own, r)),
        page("/certificates", "certificates.html", lambda r: _certificates(own, r)),
        page(
            "/certificates/{number:.+}",
            "certificate.html",
            lambda r: journey.certificate(own, r.match_info["number"]),
        ),
        web.get("/static/{name}", static),
        web.get("/events", pulse.stream, allow_head=False),
    ]


def _one(own: OwnAuthority, authority: str) -> dict[str, Any]:
    return {"peer": peers.peer(own, authority)}


def _work(own: OwnAuthority) -> dict[str, Any]:
    return {"lists": worklists.overview(own, shown=PAGE)}


def _alerts(own: OwnAuthority, request: web.Request) -> dict[str, Any]:
    asked = request.query.get("number", "").strip()[:100]
    found = correspondence.alerts(own, asked or None, ended=bool(asked))
    return {"asked": asked, "register": found["items"]}


def _queue(own: OwnAuthority) -> dict[str, Any]:
    told = peers.status(own)["peers"]
    detailed = [peers.peer(own, p["authority"]) for p in told if p["out"]["lag"] or p["quarantine"]]
    return {"peers": detailed}


def _ledger(own: OwnAuthority, request: web.Request) -> dict[str, Any]:
    def query(tx: Transaction) -> dict[str, Any]:
        size = entries.size(tx)
        before = _number(request.query.get("before"), size) or size
        rows = entries.listed(tx, max(0, before - PAGE), min(PAGE, before))
        return {
            "size": size, "entries": rows[::-1], "older": before - PAGE if before > PAGE else None,
            "iso": iso,
        }  # fmt: skip

    return {**own.ledger.read(query), "node": system(own)}


def _number(text: str | None, default: int) -> int:
    plain = text is not None and text.isascii() and text.isdigit() and len(text) < 16
    return min(int(text), default) if plain and text else default


def _certificates(own: OwnAuthority, request: web.Request) -> dict[str, Any]:
    asked = {name: request.query.get(name, "")[:100] for name in ("number", "party", "after")}
    number = asked["number"].strip()

    def query(tx: Transaction) -> dict[str, Any]:
        if number:
            found = certificates.by_number(tx, number)
            held = [found] if found else []
        else:
            party = asked["party"].strip() or None
            held = certificates.listed(tx, None, None, asked["after"], PAGE, party=party)
        return {"certificates": held, "figures": certificates.figures(tx, held)}

    told = own.ledger.read(query)
    held = told["certificates"]
    return {"asked": asked, "more": held[-1].number if len(held) == PAGE else None, **told}


def _page(
    own: OwnAuthority, request: web.Request, template: str, facts: dict[str, Any], status: int = 200
) -> web.Response:
    standing = own.ledger.read(alerts.opened)
    text = _templates().get_template(template).render(
        standing=len(standing),
        own=own.name, name=own.config.node.name, sandbox=own.sandbox, path=request.path,
        now=iso(own.now_s()), marks=MARKS, states=STATES, incidents=INCIDENTS,
        conditions=CONDITIONS, **facts,
    )  # fmt: skip
    return web.Response(text=text, content_type="text/html", status=status)


@cache
def _templates() -> Environment:
    made = Environment(
        loader=PackageLoader("node.web"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, auto_reload=False,
    )  # fmt: skip
    made.filters["since"] = _since
    made.filters["ticks"] = _ticks
    made.filters["duration"] = duration
    made.filters["rows"] = figures.rows
    return made


@cache
def _static() -> dict[str, bytes]:
    folder = resources.files("node.web") / "static"
    return {f.name: f.read_bytes() for f in folder.iterdir() if f.name.endswith(tuple(_MEDIA))}


def _since(moment: str | None, now: str) -> str:
    """How long ago a moment was, for people."""
    if moment is None:
        return "never"
    return f"{duration(max(0, at(now) - at(moment)))} ago"


def _ticks(text: str) -> Markup:
    """A text with what stands in backticks as code; all of it escaped."""
    parts = [escape(part) for part in text.split("`")]
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if at % 2 else part for at, part in enumerate(parts)
    )


def duration(seconds: int) -> str:
    """Seconds for people: the largest unit that fits."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


class Pulse:
    """Tells open pages when something they show has changed; asks once for all of them."""

    def __init__(self, own: OwnAuthority, closing: asyncio.Event) -> None:
        self._own = own
        self._digest = ""
        self._read_at = -PULSE_S
        self._lock = asyncio.Lock()
        self._closed = closing

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events: ``changed`` whenever status has."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        with suppress(ConnectionError):  # the page was left
            await self._send(request, response)
        return response

    async def _send(self, request: web.Request, response: web.StreamResponse) -> None:
        await response.prepare(request)
        seen = await self._now()
        await response.write(b"retry: 2000\n\n")
        while not self._closed.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(PULSE_S):
                    await self._closed.wait()
            now = await self._now()
            # A comment keeps the connection, and finds out that nobody listens any more.
            text = f"event: changed\ndata: {now[:12]}\n\n" if now != seen else ": still\n\n"
            seen = now
            await response.write(text.encode())

    async def _now(self) -> str:
        async with self._lock:
            loop = asyncio.get_running_loop()
            if loop.time() - self._read_at >= PULSE_S / 2:
                told = await asyncio.to_thread(self._told)
                self._digest = hashlib.sha256(told).hexdigest()
                self._read_at = loop.time()
        return self._digest

    def _told(self) -> bytes:
        size = self._own.ledger.read(entries.size)
        return json.dumps([size, peers.status(self._own)], sort_keys=True).encode()
