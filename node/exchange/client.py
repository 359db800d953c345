"""HTTP to one peer: bounded, timed, never redirected (protocol section 4)."""

import asyncio
import io
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

import aiohttp
from yarl import URL

from node import bundle, strict_json
from node.authority import OwnAuthority
from node.bundle import RECEIPT_TYPE
from node.config import PeerSettings
from node.documents import MAX_TRANSPORT_BYTES
from node.errors import PeerUnreachableError
from node.exchange import tokens
from node.tls import client_context

TIMEOUT = aiohttp.ClientTimeout(total=120, connect=10, sock_connect=10, sock_read=60)
"""A full bundle over a weak link takes a minute and more; a silent peer is given up earlier."""


def new_session() -> aiohttp.ClientSession:
    """A session for requests to peers: nothing is decompressed, no cookie is kept."""
    return aiohttp.ClientSession(auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar())


class TimedOutError(PeerUnreachableError):
    """The peer took too long; a smaller bundle may get through."""

    code = "timed-out"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a peer answered. `retry_after_s` is None unless it asked for a pause.

    `date` is the header, for the peer's clock.
    """

    status: int
    media_type: str
    body: bytes
    retry_after_s: float | None
    date: str | None = None

    def clock_ahead_s(self, now: datetime) -> float | None:
        """By how much the peer's clock is ahead of a moment; None if it does not say."""
        try:
            return (parsedate_to_datetime(self.date or "") - now).total_seconds()
        except (ValueError, TypeError):
            return None

    def json(self) -> dict[str, Any]:
        """The body as a JSON object, read strictly; empty where it is none."""
        try:
            parsed = strict_json.loads(self.body)
        except ValueError:
            return {}
        return parsed if isinstance(parsed, dict) else {}


class PeerClient:
    """Requests to one peer.

    `clock_s` is by how many seconds its clock was ahead at its last answer, whatever that said.

    Raises:
        ConfigError: ``bad-certificate``.
    """

    def __init__(
        self, own: OwnAuthority, settings: PeerSettings, session: aiohttp.ClientSession
    ) -> None:
        self._own = own
        self._settings = settings
        self._session = session
        self.clock_s: int | None = None
        https = settings.url.startswith("https:")
        self._ssl: ssl.SSLContext | bool = (
            client_context(own.config.tls, settings) if https else True
        )

    async def post_bundle(self, raw: bytes) -> Answer:
        """Push a bundle.

        Raises:
            PeerUnreachableError: No answer; `TimedOutError` if it took too long.
        """
        return await self._ask("POST", "/kpx/v1/bundles", raw, {"Content-Type": bundle.MEDIA_TYPE})

    async def post_receipt(self, raw: bytes) -> Answer:
        """Acknowledge a bundle that was pulled.

        Raises:
            PeerUnreachableError: As `post_bundle`.
        """
        return await self._ask("POST", "/kpx/v1/receipts", raw, {"Content-Type": RECEIPT_TYPE})

    async def get_open(self, path: str) -> Answer:
        """Ask for what anyone may read.

        Raises:
            PeerUnreachableError: As `post_bundle`.
        """
        return await self._ask("GET", path, None, {})

    async def get_bundle(self, *, after: int, limit: int) -> Answer:
        """Fetch what waits at the peer after a position.

        Raises:
            PeerUnreachableError: As `post_bundle`.
        """
        target = f"/kpx/v1/bundles?{urlencode({'after': after, 'limit': limit})}"
        return await self._get(target, bundle.MAX_BUNDLE_BYTES)

    async def get(self, path: str, **query: int) -> Answer:
        """Ask for something of this pair, with a fresh token.

        Raises:
            PeerUnreachableError: As `post_bundle`.
        """
        return await self._get(path + ("?" + urlencode(query) if query else ""))

    async def _get(self, target: str, limit: int = MAX_TRANSPORT_BYTES) -> Answer:
        prefix = urlsplit(self._settings.url).path
        token = await asyncio.to_thread(
            tokens.make, self._own, self._settings.authority, prefix + target
        )
        return await self._ask("GET", target, None, {"Authorization": token}, limit)

    async def _ask(
        self,
        method: str,
        target: str,
        body: bytes | None,
        headers: dict[str, str],
        limit: int = MAX_TRANSPORT_BYTES,
    ) -> Answer:
        url = URL(self._settings.url + target, encoded=True)
        try:
            async with self._session.request(
                method,
                url,
                data=None if body is None else io.BytesIO(body),  # in pieces, not at once
                headers=headers,
                timeout=TIMEOUT,
                ssl=self._ssl,
                allow_redirects=False,
            ) as response:
                answer = Answer(
                    response.status,
                    response.content_type,
                    await _bounded(response, limit),
                    _retry_after(response.headers.get("Retry-After")),
                    response.headers.get("Date"),
                )
                apart = answer.clock_ahead_s(self._own.clock.now())
                self.clock_s = self.clock_s if apart is None else round(apart)
                return answer
        except aiohttp.ConnectionTimeoutError:
            raise PeerUnreachableError(
                f"{url.host}:{url.port}: cannot connect in time", "connect"
            ) from None
        except TimeoutError:
            raise TimedOutError(f"{url.host}:{url.port} took too long to answer") from None
        except aiohttp.ClientConnectorCertificateError as error:
            reason = getattr(error.certificate_error, "verify_message", error.certificate_error)
            told = f"{url.host}:{url.port}: its certificate is not trusted: {reason}"
            raise PeerUnreachableError(told, "tls") from None
        except aiohttp.ClientConnectorDNSError as error:
            raise PeerUnreachableError(
                f"{url.host}: no address: {error.os_error}", "name"
            ) from None
        except aiohttp.ClientConnectorError as error:
            reason = error.os_error.strerror or error.os_error
            told = f"{url.host}:{url.port}: cannot connect: {reason}"
            raise PeerUnreachableError(told, "connect") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise PeerUnreachableError(f"{url.host}:{url.port}: {error}") from None


async def _bounded(response: aiohttp.ClientResponse, limit: int) -> bytes:
    received = bytearray()
    async for chunk in response.content.iter_chunked(64 * 1024):
        received += chunk
        if len(received) > limit:
            raise PeerUnreachableError(f"an answer of more than {limit} bytes")
    return bytes(received)


def _retry_after(text: str | None) -> float | None:
    """Seconds to wait, from either form of the header (RFC 9110 section 10.2.3)."""
    if text is None:
        return None
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
