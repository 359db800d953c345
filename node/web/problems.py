"""Errors as RFC 9457 problems with the stable codes of protocol section 4."""

import json
import secrets
import time
from collections import Counter

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
PEERS_PATH = "/kpx/"
RETRY_AFTER_S = {LedgerUnavailableError.code: 10, LogBehindError.code: 900}

REFUSED: Counter[str] = Counter()
"""Requests of peers that were refused since the start, by code; `/metrics` tells."""

log = structlog.get_logger()


def response(problem: ProblemError) -> web.Response:
    """The answer to a problem; `retry_after` among its members becomes the header."""
    members = dict(problem.members)
    headers = {}
    if "retry_after" in members:
        headers["Retry-After"] = str(members.pop("retry_after"))
    status = STATUS[problem.code]
    body = {
        "type": f"urn:kpx:problem:{problem.code}",
        "title": problem.code.replace("-", " ").capitalize(),
        "status": status,
        "code": problem.code,
        "detail": str(problem),
        **members,
    }
    return web.Response(
        status=status,
        body=json.dumps(body, ensure_ascii=False).encode(),
        content_type=MEDIA_TYPE,
        headers=headers,
    )


@web.middleware
async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn everything that goes wrong into a problem; the unexpected is logged, never shown.

    Every request has an id, in all that is logged of it and in the answer; those of peers have a
    line each, with what their handlers have bound to it. Nothing of their bodies is in it.
    """
    request_id, started = secrets.token_hex(6), time.monotonic()
    structlog.contextvars.clear_contextvars()  # of the request before on this connection
    structlog.contextvars.bind_contextvars(request=request_id)
    response = await _answer(request, handler)
    if not response.prepared:
        response.headers["X-Request-Id"] = request_id
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
    except (LedgerUnavailableError, LogBehindError) as error:
        # Neither is the caller's fault, nor his business in detail.
        log.error("cannot answer", code=error.code, error=str(error))
        members = {"retry_after": RETRY_AFTER_S[error.code]}
        return response(ProblemError("paused", "this node cannot record right now", members))
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
    except Exception:
        log.exception("internal error", method=request.method, path=request.path)
        return response(ProblemError("internal", "something went wrong here; it was logged"))
