"""Reading a bundle from a request: limits before parsing, the manifest before the rest."""

import asyncio

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from node.bundle import MAX_BUNDLE_BYTES, MEDIA_TYPE, malformed
from node.documents import MAX_TRANSPORT_BYTES
from node.errors import ProblemError

READ_TIMEOUT_S = 60
"""Between two pieces of a body; a stalled sender does not hold a place for longer."""


class BundleBody:
    """The body of one POST, read in two steps."""

    def __init__(self, request: web.Request) -> None:
        """Check the headers.

        Raises:
            ProblemError: ``unsupported-media`` or ``too-large``.
        """
        if request.content_type != MEDIA_TYPE:
            detail = f"expected {MEDIA_TYPE}, got {request.content_type}"
            raise ProblemError("unsupported-media", detail)
        if (request.content_length or 0) > MAX_BUNDLE_BYTES:
            raise _too_large()
        self._content = request.content
        self._read = bytearray()
        self._used = 0

    async def first_line(self) -> bytes:
        """The first line without its end; at most 1 MiB of it is read.

        Raises:
            ProblemError: ``too-large`` or ``malformed-bundle``.
        """
        while (end := self._read.find(b"\n")) < 0:
            if len(self._read) > MAX_TRANSPORT_BYTES:
                raise ProblemError("too-large", "a manifest has at most 1 MiB")
            if not await self._more():
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
        while await self._more():
            if self._used + len(self._read) > MAX_BUNDLE_BYTES:
                raise _too_large()
        return bytes(self._read)

    async def _more(self) -> bool:
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                chunk = await self._content.readany()
        except TimeoutError:
            raise malformed(f"nothing came for {READ_TIMEOUT_S} s") from None
        except HttpProcessingError:
            raise malformed("the body breaks off") from None
        self._read += chunk
        return bool(chunk)


def _too_large() -> ProblemError:
    return ProblemError("too-large", f"a bundle has at most {MAX_BUNDLE_BYTES} bytes")
