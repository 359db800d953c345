"""A client of the HTTP API for Python programs: typed, thin, sync and async.

    with Client("http://localhost:8111", token) as node:
        node.issue([shipment], key="order-4711")
        for event in node.events(after=-1): ...

Every method is one operation of the description (``/openapi.json``); what comes back is its JSON.
"""

import io
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

Progress = Callable[[str, int, int], None]
"""Called now and then with what is being done, the steps done and the steps in all."""

TIMEOUT_S = 30.0
"""Without a word from the node."""

STREAM = "text/event-stream"
MAX_ANSWER_BYTES = 64 * 1024 * 1024


class ApiProblemError(Exception):
    """The node answered with a problem.

    Attributes:
        status: Of HTTP.
        code: Stable; to branch on.
        errors: Findings with pointer and rule, where there are any.
        retry_after_s: When to try again, where the node says so.
    """

    def __init__(self, status: int, problem: Mapping[str, Any], retry_after: str | None) -> None:
        super().__init__(f"{problem.get('code', 'unknown')}: {problem.get('detail', status)}")
        self.status = status
        self.code: str = problem.get("code", "unknown")
        self.errors: list[dict[str, Any]] = problem.get("errors", [])
        self.retry_after_s = int(retry_after) if retry_after and retry_after.isdigit() else None


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: its JSON (or text), its ETag, and whether it was given before for the same key."""

    body: Any
    etag: str = ""
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """What one operation asks for; both clients send the same."""

    method: str
    path: str
    body: bytes | None = None
    headers: Mapping[str, str] | None = None


class _Operations:
    """The requests by operation."""

    @staticmethod
    def issue(
        shipments: Sequence[Mapping[str, Any]], *, mode: str = "all", key: str | None = None,
        office: str | None = None, officer: str | None = None,
    ) -> Request:  # fmt: skip
        body = {"shipments": list(shipments), "mode": mode, "office": office, "officer": officer}
        return _post("/api/v1/certificates", body, key)

    @staticmethod
    def act(
        number: str, verb: str, *, key: str | None = None, if_match: str | None = None,
        **members: Any,
    ) -> Request:  # fmt: skip
        return _post(f"/api/v1/certificates/{_quoted(number)}/{verb}", members, key, if_match)

    @staticmethod
    def certificate(number: str) -> Request:
        return _get(f"/api/v1/certificates/{_quoted(number)}")

    @staticmethod
    def certificates(**query: Any) -> Request:
        return _get("/api/v1/certificates", query)

    @staticmethod
    def document(doc_id: str) -> Request:
        return _get(f"/api/v1/documents/{_quoted(doc_id)}")

    @staticmethod
    def work(name: str) -> Request:
        return _get(f"/api/v1/worklists/{_quoted(name)}")

    @staticmethod
    def page_of_events(after: int, limit: int) -> Request:
        return _get("/api/v1/events", {"after": after, "limit": limit})


class Client:
    """Calls a node and waits for its answers."""

    def __init__(self, url: str, token: str, *, timeout_s: float = TIMEOUT_S) -> None:
        """Names the console listener, e.g. ``http://localhost:8111``, and who calls."""
        self._url, self._token, self._timeout_s = url.rstrip("/"), token, timeout_s

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass  # each call has a connection of its own

    def send(self, request: Request, progress: Progress | None = None) -> Reply:
        """One request; the node tells `progress` how far it has come, where it can.

        Raises:
            ApiProblemError: The node says why not.
            OSError: It cannot be reached, or does not answer in time.
        """
        headers = {"Authorization": f"Bearer {self._token}", **_headers(request, progress)}
        asked = urllib.request.Request(  # noqa: S310 - the caller's own node
            self._url + request.path, data=request.body, headers=headers, method=request.method
        )
        try:
            with urllib.request.urlopen(asked, timeout=self._timeout_s) as answer:  # noqa: S310
                if progress is not None and _streams(answer.headers):
                    lines = (found for line in answer if (found := _told(line, progress)))
                    return _last(next(lines, None))
                return _reply(answer.headers, answer.read(MAX_ANSWER_BYTES))
        except urllib.error.HTTPError as error:
            raise _problem(error.code, error.headers, error.read(MAX_ANSWER_BYTES)) from None

    def issue(
        self, shipments: Sequence[Mapping[str, Any]], progress: Progress | None = None, **how: Any
    ) -> Reply:
        """Issue a certificate for each shipment; see `_Operations.issue`."""
        return self.send(_Operations.issue(shipments, **how), progress)

    def act(self, number: str, verb: str, **members: Any) -> Reply:
        """Any act on a certificate: ``confirm``, ``dispute``, ``revoke``…, as described."""
        return self.send(_Operations.act(number, verb, **members))

    def certificate(self, number: str) -> Reply:
        """A certificate with its life; the reply's `etag` is for `if_match`."""
        return self.send(_Operations.certificate(number))

    def certificates(self, **query: Any) -> Iterator[dict[str, Any]]:
        """All certificates that fit, page by page."""
        while True:
            page = self.send(_Operations.certificates(**query)).body
            yield from page["items"]
            if page["next"] is None:
                return
            query["after"] = page["next"]

    def document(self, doc_id: str) -> str:
        """The exact bytes of a document."""
        return str(self.send(_Operations.document(doc_id)).body)

    def work(self, name: str) -> list[dict[str, Any]]:
        """What waits in a work-list."""
        items: list[dict[str, Any]] = self.send(_Operations.work(name)).body["items"]
        return items

    def events(self, after: int = -1) -> Iterator[dict[str, Any]]:
        """What has happened after an event, up to now."""
        while page := self.send(_Operations.page_of_events(after, 500)).body["items"]:
            yield from page
            after = int(page[-1]["id"])


class AsyncClient:
    """The same, for programs with an event loop; keeps its connections."""

    def __init__(self, url: str, token: str, *, timeout_s: float = TIMEOUT_S) -> None:
        """As `Client`."""
        import aiohttp

        self._url = url.rstrip("/")
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {token}"},
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=timeout_s, sock_read=timeout_s),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        await self._session.close()

    async def send(self, request: Request, progress: Progress | None = None) -> Reply:
        """One request; as `Client.send`."""
        async with self._session.request(
            request.method, self._url + request.path,
            data=None if request.body is None else io.BytesIO(request.body),  # in pieces
            headers=_headers(request, progress), allow_redirects=False,
        ) as answer:  # fmt: skip
            if progress is not None and _streams(answer.headers):
                async for line in answer.content:
                    if found := _told(line, progress):
                        return _last(found)
                return _last(None)
            raw = await answer.read()
            if answer.status >= 300:
                raise _problem(answer.status, answer.headers, raw)
            return _reply(answer.headers, raw)

    async def issue(
        self, shipments: Sequence[Mapping[str, Any]], progress: Progress | None = None, **how: Any
    ) -> Reply:
        """Issue a certificate for each shipment."""
        return await self.send(_Operations.issue(shipments, **how), progress)

    async def act(self, number: str, verb: str, **members: Any) -> Reply:
        """Any act on a certificate."""
        return await self.send(_Operations.act(number, verb, **members))

    async def certificate(self, number: str) -> Reply:
        """A certificate with its life."""
        return await self.send(_Operations.certificate(number))

    async def events(self, after: int = -1) -> AsyncIterator[dict[str, Any]]:
        """What has happened after an event, up to now."""
        while page := (await self.send(_Operations.page_of_events(after, 500))).body["items"]:
            for event in page:
                yield event
            after = int(page[-1]["id"])


def _get(path: str, query: Mapping[str, Any] | None = None) -> Request:
    told = {name: value for name, value in (query or {}).items() if value is not None}
    return Request("GET", f"{path}?{urllib.parse.urlencode(told)}" if told else path)


def _post(
    path: str, members: Mapping[str, Any], key: str | None, if_match: str | None = None
) -> Request:
    body = {name: value for name, value in members.items() if value is not None}
    told = {"Content-Type": "application/json", "Idempotency-Key": key, "If-Match": if_match}
    headers = {name: value for name, value in told.items() if value is not None}
    return Request("POST", path, json.dumps(body).encode(), headers)


def _quoted(text: str) -> str:
    return urllib.parse.quote(text, safe="")


def _headers(request: Request, progress: Progress | None) -> dict[str, str]:
    streams = {} if progress is None else {"Accept": STREAM}
    return {**(request.headers or {}), **streams}


def _streams(headers: Any) -> bool:
    return str(headers.get("Content-Type", "")).startswith(STREAM)


def _told(line: bytes, progress: Progress) -> dict[str, Any] | None:
    """A line of a stream: progress is passed on, the answer returned."""
    if not line.startswith(b"data: "):
        return None
    data: dict[str, Any] = json.loads(line[6:])
    if "status" in data:
        return data
    if data:
        progress(data["what"], data["done"], data["total"])
    return None


def _last(answer: dict[str, Any] | None) -> Reply:
    """The answer at the end of a stream."""
    if answer is None:
        raise ConnectionError("the stream ended before the answer; send it again with its key")
    if answer["status"] >= 300:
        wait = answer.get("retry_after")
        raise ApiProblemError(answer["status"], answer["body"], None if wait is None else str(wait))
    return Reply(answer["body"], "", answer["replayed"])


def _reply(headers: Any, raw: bytes) -> Reply:
    plain = "json" not in headers.get("Content-Type", "")
    body = raw.decode() if plain else json.loads(raw)
    return Reply(body, headers.get("ETag") or "", headers.get("Idempotent-Replay") == "true")


def _problem(status: int, headers: Any, raw: bytes) -> ApiProblemError:
    try:
        problem = json.loads(raw)
    except ValueError:
        problem = {"detail": raw[:200].decode(errors="replace")}
    return ApiProblemError(status, problem, headers.get("Retry-After"))
