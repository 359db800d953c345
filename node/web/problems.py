"""Errors as RFC 9457 problems with the stable codes of protocol section 4."""

import json
import secrets
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from node.errors import LedgerUnavailableError, LogBehindError, ProblemError

STATUS = {
    "unsupported-media": 415,
    "too-large": 413,
    "too-many-requests": 429,
    "paused": 503,
    "malformed-bundle": 400,
    "bad-request": 400,
    "unknown-peer": 401,
    "bad-signature": 401,
    "replayed": 401,
    "unsupported-version": 400,
    "wrong-audience": 403,
    "wrong-sandbox": 403,
    "expired": 400,
    "bad-proof": 400,
    "proof-needed": 409,
    "log-fork": 409,
    "stream-fork": 409,
    "not-found": 404,
    "not-allowed": 405,
    "internal": 500,
}
MEDIA_TYPE = "application/problem+json"
REQUEST_ID = web.RequestKey("request_id", str)
PEERS_PATH = "/kpx/"
RETRY_AFTER_S = {LedgerUnavailableError.code: 10, LogBehindError.code: 900}

REFUSED: Counter[str] = Counter()
"""Requests of peers that were refused since the start, by code; `/metrics` tells."""

log = structlog.get_logger()


def response(problem: ProblemError) -> web.Response:
    """The answer to a problem; `retry_after` among its members becomes the header."""
    wait = problem.members.get("retry_after")
    return web.Response(
        status=STATUS[problem.code],
        body=json.dumps(body_of(problem), ensure_ascii=False).encode(),
        content_type=MEDIA_TYPE,
        headers={} if wait is None else {"Retry-After": str(wait)},
    )


def body_of(problem: ProblemError) -> dict[str, Any]:
    """A problem's JSON."""
    members = {name: value for name, value in problem.members.items() if name != "retry_after"}
    return body(STATUS[problem.code], problem.code, str(problem), members)


def body(status: int, code: str, detail: str, members: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON of RFC 9457, with further members."""
    return {
        "type": f"urn:kpx:problem:{code}",
        "title": code.replace("-", " ").capitalize(),
        "status": status,
        "code": code,
        "detail": detail,
        **members,
    }


def problem_of(error: Exception) -> ProblemError:
    """What is told of an error; the unexpected is logged, never shown."""
    if isinstance(error, ProblemError):
        return error
    if isinstance(error, LedgerUnavailableError | LogBehindError):
        # Neither is the caller's fault, nor his business in detail.
        log.error("cannot answer", code=error.code, error=str(error))
        members = {"retry_after": RETRY_AFTER_S[error.code]}
        return ProblemError("paused", "this node cannot record right now", members)
    log.error("internal error", exc_info=error)
    return ProblemError("internal", "something went wrong here; it was logged")


@web.middleware
async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn everything that goes wrong into a problem; the unexpected is logged, never shown.

    Every request has an id, in all that is logged of it and in the answer; those of peers have a
    line each, with what their handlers have bound to it. Nothing of their bodies is in it.
    """
    request_id, started = secrets.token_hex(6), time.monotonic()
    structlog.contextvars.clear_contextvars()  # of the request before on this connection
    structlog.contextvars.bind_contextvars(request=request_id)
    request[REQUEST_ID] = request_id
    response = await _answer(request, handler)
    if not response.prepared:
        response.headers["X-Request-Id"] = request_id  # streams say it as they begin
    if request.path.startswith(PEERS_PATH):
        took = round(time.monotonic() - started, 3)
        log.info(
            "request", method=request.method, path=request.path, status=response.status,
            seconds=took,
        )  # fmt: skip
    return response


async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        if "Content-Encoding" in request.headers:
            raise ProblemError("unsupported-media", "no Content-Encoding is accepted")
        return await handler(request)
    except ProblemError as problem:
        structlog.contextvars.bind_contextvars(code=problem.code)
        if request.path.startswith(PEERS_PATH):
            REFUSED[problem.code] += 1
        return response(problem)
    except web.HTTPMethodNotAllowed as error:
        refused = response(ProblemError("not-allowed", f"{request.method} is not allowed here"))
        refused.headers["Allow"] = ", ".join(sorted(error.allowed_methods))
        return refused
    except web.HTTPNotFound:
        return response(ProblemError("not-found", "no such resource"))
    except web.HTTPException as error:
        return response(ProblemError("bad-request", error.reason or "bad request"))
    except ConnectionError:
        raise  # the other side went away; there is nobody to answer
    except Exception as error:
        return response(problem_of(error))
