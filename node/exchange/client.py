"""HTTP to one peer: bounded, timed, never redirected (protocol section 4)."""

import asyncio
import io
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import aiohttp
from yarl import URL

from node import bundle, strict_json
from node.authority import OwnAuthority
from node.config import PeerSettings
from node.documents import MAX_TRANSPORT_BYTES
from node.errors import PeerUnreachableError
from node.exchange import tokens

TIMEOUT = aiohttp.ClientTimeout(total=120, connect=10, sock_read=60)
"""A full bundle over a weak link takes a minute and more; a silent peer is given up earlier."""


def new_session() -> aiohttp.ClientSession:
    """A session for requests to peers: nothing is decompressed, no cookie is kept."""
    return aiohttp.ClientSession(auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar())


class TimedOutError(PeerUnreachableError):
    """The peer took too long; a smaller bundle may get through."""

    code = "timed-out"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a peer answered. `retry_after_s` is None unless it asked for a pause."""

    status: int
    media_type: str
    body: bytes
    retry_after_s: float | None

    def json(self) -> dict[str, Any]:
        """The body as a JSON object, read strictly; empty where it is none."""
        try:
            parsed = strict_json.loads(self.body)
        except ValueError:
            return {}
        return parsed if isinstance(parsed, dict) else {}


class PeerClient:
    """Requests to one peer."""

    def __init__(
        self, own: OwnAuthority, settings: PeerSettings, session: aiohttp.ClientSession
    ) -> None:
        self._own = own
        self._settings = settings
        self._session = session

    async def post_bundle(self, raw: bytes) -> Answer:
        """Push a bundle.

        Raises:
            PeerUnreachableError: No answer; `TimedOutError` if it took too long.
        """
        return await self._ask("POST", "/kpx/v1/bundles", raw, {"Content-Type": bundle.MEDIA_TYPE})

    async def get(self, path: str, **query: int) -> Answer:
        """Ask for something of this pair, with a fresh token.

        Raises:
            PeerUnreachableError: As `post_bundle`.
        """
        target = path + ("?" + urlencode(query) if query else "")
        prefix = urlsplit(self._settings.url).path
        token = await asyncio.to_thread(
            tokens.make, self._own, self._settings.authority, prefix + target
        )
        return await self._ask("GET", target, None, {"Authorization": token})

    async def _ask(
        self, method: str, target: str, body: bytes | None, headers: dict[str, str]
    ) -> Answer:
        url = URL(self._settings.url + target, encoded=True)
        try:
            async with self._session.request(
                method,
                url,
                data=None if body is None else io.BytesIO(body),  # in pieces, not at once
                headers=headers,
                timeout=TIMEOUT,
                allow_redirects=False,
            ) as response:
                return Answer(
                    response.status,
                    response.content_type,
                    await _bounded(response),
                    _retry_after(response.headers.get("Retry-After")),
                )
        except aiohttp.ConnectionTimeoutError:
            raise PeerUnreachableError(f"{url.host}:{url.port}: cannot connect in time") from None
        except TimeoutError:
            raise TimedOutError(f"{url.host}:{url.port} took too long to answer") from None
        except aiohttp.ClientConnectorError as error:
            reason = error.os_error.strerror or error.os_error
            raise PeerUnreachableError(f"{url.host}:{url.port}: cannot connect: {reason}") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise PeerUnreachableError(f"{url.host}:{url.port}: {error}") from None


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    received = bytearray()
    async for chunk in response.content.iter_chunked(64 * 1024):
        received += chunk
        if len(received) > MAX_TRANSPORT_BYTES:
            raise PeerUnreachableError(f"an answer of more than {MAX_TRANSPORT_BYTES} bytes")
    return bytes(received)


def _retry_after(text: str | None) -> float | None:
    return float(text) if text is not None and text.isascii() and text.isdigit() else None
