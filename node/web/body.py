"""Reading a bundle or a receipt from a request: limits before parsing, the manifest before the rest."""

import asyncio

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from node.bundle import MAX_BUNDLE_BYTES, MEDIA_TYPE, RECEIPT_TYPE, malformed
from node.documents import MAX_TRANSPORT_BYTES
from node.errors import ProblemError
from node.web.limits import Patience


async def expected(_: web.Request) -> None:
    """In the place of aiohttp's answer to ``Expect``, which comes before any header is checked."""


async def _invite(request: web.Request) -> None:
    """Tell who waits for it (``100-continue``) that the body is wanted."""
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # what counts is the answer


def check_headers(request: web.Request, media_type: str, limit: int) -> None:
    """Media type and size as announced.

    Raises:
        ProblemError: ``unsupported-media`` or ``too-large``.
    """
    if request.content_type != media_type:
        detail = f"expected {media_type}, got {request.content_type}"
        raise ProblemError("unsupported-media", detail)
    if (request.content_length or 0) > limit:
        raise _too_large(limit)


class BundleBody:
    """The body of one POST, read in two steps."""

    def __init__(self, request: web.Request, patience: Patience) -> None:
        """Check the headers.

        Raises:
            ProblemError: ``unsupported-media`` or ``too-large``.
        """
        check_headers(request, MEDIA_TYPE, MAX_BUNDLE_BYTES)
        now = asyncio.get_running_loop().time()
        self._quiet_s = patience.quiet_s
        self._first_line_by = now + patience.first_line_s
        self._all_by = now + patience.body_s
        self._request = request
        self._read = bytearray()
        self._used = 0

    async def first_line(self) -> bytes:
        """The first line without its end; at most 1 MiB of it is read.

        Raises:
            ProblemError: ``too-large`` or ``malformed-bundle``.
        """
        await _invite(self._request)
        while (end := self._read.find(b"\n")) < 0:
            if len(self._read) > MAX_TRANSPORT_BYTES:
                raise ProblemError("too-large", "a manifest has at most 1 MiB")
            if not await self._more(self._first_line_by):
                raise malformed("the manifest's line has no end")
        line = bytes(self._read[:end])
        del self._read[: end + 1]
        self._used = end + 1
        return line

    async def rest(self) -> bytes:
        """All bytes after the first line.

        Raises:
            ProblemError: ``too-large``, or ``malformed-bundle`` if the body breaks off.
        """
        while await self._more(self._all_by):
            if self._used + len(self._read) > MAX_BUNDLE_BYTES:
                raise _too_large(MAX_BUNDLE_BYTES)
        return bytes(self._read)

    async def _more(self, until: float) -> bool:
        try:
            async with asyncio.timeout_at(until), asyncio.timeout(self._quiet_s):
                chunk = await self._request.content.readany()
        except TimeoutError:
            raise malformed("the body comes too slowly") from None
        except HttpProcessingError:
            raise malformed("the body breaks off") from None
        self._read += chunk
        return bool(chunk)


async def receipt_body(request: web.Request, patience: Patience) -> bytes:
    """The receipt of a POST.

    Raises:
        ProblemError: ``unsupported-media``, ``too-large`` or ``bad-request``.
    """
    check_headers(request, RECEIPT_TYPE, MAX_TRANSPORT_BYTES)
    await _invite(request)
    received = bytearray()
    try:
        async with asyncio.timeout(patience.first_line_s):
            async for chunk in request.content.iter_any():
                received += chunk
                if len(received) > MAX_TRANSPORT_BYTES:
                    raise _too_large(MAX_TRANSPORT_BYTES)
    except (TimeoutError, HttpProcessingError):
        raise ProblemError("bad-request", "the body breaks off or comes too slowly") from None
    return bytes(received)


def _too_large(limit: int) -> ProblemError:
    return ProblemError("too-large", f"expected at most {limit} bytes")
