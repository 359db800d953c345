"""The API on the console listener: routes from the description, access, checks, answers once.

An act runs in one transaction with the answer that is kept for its key: after a crash the same key
finds either both or nothing.
"""

import asyncio
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from node import strict_json
from node.authority import OwnAuthority
from node.bundle import MAX_BUNDLE_BYTES
from node.errors import (
    ConfigError,
    LedgerUnavailableError,
    NotFoundError,
    ProblemError,
    RefusedError,
    RefusedShipmentsError,
    errors_as_json,
    is_conflict,
)
from node.ledger import access, acts, entries
from node.ledger.access import Token
from node.ledger.database import Transaction
from node.office.access import NoAccessError, check, still_good
from node.office.officer import Officer
from node.progress import Progress, untold
from node.watch import peers
from node.web import description, operations, problems, progress
from node.web.call import Answer, ApiError, Call, Handler
from node.web.description import Operation
from node.web.feed import stream
from node.web.limits import Limits, is_loopback_address
from node.web.rooms import Rooms, check_there, room_of

MAX_BODY_BYTES = 8 * 1024 * 1024
REPLAYED = "Idempotent-Replay"


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request that was admitted: its query is checked, its body is not."""

    operation: Operation
    request: web.Request
    query: Mapping[str, Any]
    raw: bytes
    token: Token | None

    def digest(self) -> bytes:
        """What the same request has again."""
        line = f"{self.request.method} {self.request.path}\n"
        return hashlib.sha256(line.encode() + self.raw).digest()


@dataclass(frozen=True, slots=True)
class _Desk:
    """What all operations share."""

    own: OwnAuthority
    rooms: Rooms
    limits: Limits
    closing: asyncio.Event


def routes(
    own: OwnAuthority, acted: Callable[[], None], closing: asyncio.Event, rooms: Rooms
) -> list[web.RouteDef]:
    """Health, the description itself, and a route for each operation of it.

    Args:
        own: The node.
        acted: Called after each act, as there may be something to deliver.
        closing: Set when streams, and work that takes long, are to end.
        rooms: Where the work is done.
    """
    desk = _Desk(own, rooms, Limits(), closing)

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

    async def described(_: web.Request) -> web.Response:
        return web.json_response(await asyncio.to_thread(description.served))

    def route(operation: Operation) -> web.RouteDef:
        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                answer = await _handle(desk, operation, request)
                if operation.acts:
                    acted()
                return answer
            except ApiError as error:
                return _problem(error)

        return web.route(operation.method, operation.path, handle)

    return [
        web.get("/healthz", healthz),
        web.get("/readyz", readyz),
        web.get("/openapi.json", described),
        *(route(operation) for operation in description.operations().values()),
    ]


async def _handle(desk: _Desk, operation: Operation, request: web.Request) -> web.StreamResponse:
    own = desk.own
    token = await asyncio.to_thread(_admit, own, operation, request)
    if token is not None:
        desk.limits.count_token(token.id)
    query = operation.query(_once_each(request.query))
    streams = operation.streams and progress.wanted(request)
    if streams and operation.id == "events":
        still = (lambda: still_good(own, token.id)) if token else (lambda: None)
        return await stream(own, request, query, desk.closing, still, desk.rooms)
    raw = await _body(request, operation) if operation.media else b""
    asked = _Asked(operation, request, query, raw, token)
    if streams:
        told = progress.Told(request)
        return await told.until(_result(desk, asked, told.tell))
    answer, replayed = await _do(desk, asked, untold)
    headers = {"ETag": answer.etag} if answer.etag else {}
    if replayed:
        headers[REPLAYED] = "true"
    if answer.media == "application/json":
        body = json.dumps(answer.body, ensure_ascii=False).encode()
    else:
        body = answer.body if isinstance(answer.body, bytes) else str(answer.body).encode()
    return web.Response(body=body, status=answer.status, content_type=answer.media, headers=headers)


async def _do(desk: _Desk, asked: _Asked, tell: Progress) -> tuple[Answer, bool]:
    """`_run` on a thread of the operation's room."""
    told, room = _while_wanted(desk, asked, tell), room_of(asked.operation)
    return await desk.rooms.run(room, asked.request, lambda: _run(desk.own, asked, told))


def _once_each(query: Mapping[str, str]) -> dict[str, str]:
    """A query in which nothing stands twice: two readers could take another one each.

    Raises:
        ProblemError: ``bad-request``.
    """
    found = dict(query)
    if len(found) != len(query):
        raise ProblemError("bad-request", "a parameter stands twice")
    return found


def _while_wanted(desk: _Desk, asked: _Asked, tell: Progress) -> Progress:
    """Progress that ends the work where the node is being stopped: nothing of it is recorded.

    A reading also ends where its caller has left; an act he may have meant.
    """

    def told(what: str, done: int, total: int) -> None:
        if desk.closing.is_set():
            raise ProblemError("paused", "the node is being stopped", {"retry_after": 10})
        if not asked.operation.acts:
            check_there(asked.request)
        tell(what, done, total)

    return told


async def _result(desk: _Desk, asked: _Asked, tell: Progress) -> dict[str, Any]:
    """What `_run` comes to, as the last event of a stream has it, or why it came to nothing."""
    try:
        answer, replayed = await _do(desk, asked, tell)
    except ApiError as error:
        return {"status": error.status, "body": _body_of(error)}
    except ConnectionError:
        raise  # there is nobody to tell
    except Exception as error:
        told = problems.problem_of(error)
        wait = told.members.get("retry_after")
        waits = {} if wait is None else {"retry_after": wait}
        return {"status": problems.STATUS[told.code], "body": problems.body_of(told), **waits}
    return {"status": answer.status, "body": answer.body, "replayed": replayed}


def _admit(own: OwnAuthority, operation: Operation, request: web.Request) -> Token | None:
    """The token of a request; None where none is needed.

    Raises:
        ApiError: ``unauthorized`` or ``forbidden``.
    """
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    if not scheme:
        if operation.open and _is_local(request):
            return None
        raise ApiError(401, "unauthorized", "this needs a token: kpnode token make")
    try:
        if scheme.lower() != "bearer":
            raise NoAccessError("expected Authorization: Bearer TOKEN")
        token = check(own, text.strip())
    except NoAccessError as error:
        raise ApiError(401, error.code, str(error)) from None
    if not operation.scopes & token.scopes:
        wanted = " or ".join(sorted(operation.scopes))
        raise ApiError(403, "forbidden", f"the token has no scope {wanted}")
    return token


def _is_local(request: web.Request) -> bool:
    """Whether a request comes from this very machine, not through a proxy on it."""
    forwarded = {"Forwarded", "X-Forwarded-For", "Via"} & request.headers.keys()
    return not forwarded and is_loopback_address(request.remote or "")


def _run(own: OwnAuthority, asked: _Asked, tell: Progress) -> tuple[Answer, bool]:
    """Do what is asked for; the answer, and whether it was given before.

    Raises:
        ApiError: Everything that is wrong with it.
    """
    operation, request, token = asked.operation, asked.request, asked.token
    body, officer = _content(operation, asked.raw)
    call = Call(operation.path_values(request.match_info), asked.query, body, officer, tell)
    handler = operations.HANDLERS[operation.id]
    try:
        if not operation.acts or token is None:
            return handler(own, call), False
        account = f"token {token.name} ({token.id})"
        with acts.on_account_of(account, officer.office, officer.officer):
            if not operation.keyed:
                return handler(own, call), False
            answer, replayed = own.ledger.write(lambda tx: _once(tx, own, handler, call, asked))
        own.fault("api.answer")
        if not replayed and (afterwards := operations.AFTERWARDS.get(operation.id)):
            afterwards(own)
        return answer, replayed
    except NotFoundError as error:
        raise ApiError(404, error.code, str(error)) from None
    except ConfigError as error:
        raise ApiError(409, error.code, str(error)) from None
    except (RefusedError, RefusedShipmentsError) as error:
        found = errors_as_json(error)
        status = 409 if is_conflict([one["code"] for one in found]) else 422
        raise ApiError(status, error.code, str(error), found) from None


def _once(
    tx: Transaction, own: OwnAuthority, handler: Handler, call: Call, asked: _Asked
) -> tuple[Answer, bool]:
    """An act, with its answer on record for its key; or the answer given before."""
    told, token, now_s = asked.operation.headers(asked.request.headers), asked.token, own.now_s()
    assert token is not None
    key, match, digest = told.get("Idempotency-Key"), told.get("If-Match"), asked.digest()
    if key is not None and (given := access.answer_given(tx, token.id, key, now_s)):
        if given[0] != digest:
            raise ApiError(422, "key-reused", "this Idempotency-Key came with another request")
        return Answer(**given[1]), True
    tag = operations.etag(tx, call.path.get("number", ""))
    if match is not None and tag and not _matches(match, tag):
        raise ApiError(412, "changed", "the certificate is not as you have seen it; read it again")
    answer = handler(own, call)
    if key is not None:
        kept = {"body": answer.body, "status": answer.status, "etag": answer.etag}
        access.keep_answer(tx, token.id, key, digest, kept, now_s)
    return answer, False


def _matches(match: str, tag: str) -> bool:
    """Whether an If-Match names a tag (RFC 9110 section 13.1.1): strong ones, or any by ``*``."""
    return match.strip() == "*" or tag in (one.strip() for one in match.split(","))


def _content(operation: Operation, raw: bytes) -> tuple[Any, Officer]:
    """The body, checked; who acts is taken out of it.

    Raises:
        ApiError: ``not-json`` or ``schema-invalid``.
    """
    if not operation.body:
        return raw, Officer()
    try:
        body = strict_json.loads(raw)
    except ValueError as error:
        raise ApiError(400, "not-json", str(error)) from None
    if findings := operation.checked(body):
        refusal = RefusedError(findings)
        raise ApiError(422, refusal.code, str(refusal), errors_as_json(refusal))
    officer = Officer(body.pop("office", None), body.pop("officer", None))
    return body, officer


async def _body(request: web.Request, operation: Operation) -> bytes:
    if request.content_type not in operation.media:
        detail = f"expected {' or '.join(operation.media)}, got {request.content_type}"
        raise ProblemError("unsupported-media", detail)
    limit = MAX_BODY_BYTES if operation.body else MAX_BUNDLE_BYTES
    received = bytearray()
    try:
        async with asyncio.timeout(60):
            async for chunk in request.content.iter_any():
                received += chunk
                if len(received) > limit:
                    raise ProblemError("too-large", f"expected at most {limit} bytes")
    except TimeoutError:
        raise ProblemError("bad-request", "the body comes too slowly") from None
    return bytes(received)


def _problem(error: ApiError) -> web.Response:
    headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else {}
    return web.Response(
        status=error.status,
        body=json.dumps(_body_of(error), ensure_ascii=False).encode(),
        content_type=problems.MEDIA_TYPE,
        headers=headers,
    )


def _body_of(error: ApiError) -> dict[str, Any]:
    found = {"errors": error.errors} if error.errors else {}
    return problems.body(error.status, error.code, str(error), found)
