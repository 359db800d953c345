"""Where requests of the API are worked on: each kind has threads of its own, so none starves another.

Peers and pages have theirs too (the event loop's), so whatever the API is asked, they are answered.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from aiohttp import web

from node.errors import ProblemError
from node.web.description import Operation

T = TypeVar("T")

THREADS = {"acting": 8, "reading": 12, "lengthy": 3, "auditing": 1, "following": 2}
MOST_WAITING = 64
"""In a room; whoever comes then is asked to come again."""

RETRY_AFTER_S = 10

LENGTHY = frozenset(
    {"probe-peer", "sync", "sync-peer", "export-bundle", "import-bundle", "export-table",
     "import-table", "read-dossier", "ping-webhook", "work", "work-list"}
)  # fmt: skip
"""Operations that may take seconds, or wait for others."""


class Rooms:
    """Runs work on threads, by kind."""

    def __init__(self) -> None:
        self._threads = {
            name: ThreadPoolExecutor(count, f"api-{name}") for name, count in THREADS.items()
        }
        self._inside = dict.fromkeys(THREADS, 0)
        self._closed = False

    async def run(self, name: str, request: web.Request, work: Callable[[], T]) -> T:
        """Do work once a thread is free, unless its caller has left by then.

        Raises:
            ProblemError: ``paused``: too much waits already.
        """
        if self._closed or self._inside[name] >= MOST_WAITING:
            detail = "more of this kind is asked for than can be done now"
            raise ProblemError("paused", detail, {"retry_after": RETRY_AFTER_S})

        def begin() -> T:
            check_there(request)
            return work()

        self._inside[name] += 1
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._threads[name], begin)
        future.add_done_callback(lambda _: self._left(name))
        return await asyncio.shield(future)

    async def follow(self, work: Callable[[], T]) -> T:
        """Read for a stream; however many listen, and from however far back, few are read for.

        Raises:
            ConnectionError: The node is being stopped.
        """
        if self._closed:
            raise ConnectionAbortedError("the node is being stopped")
        return await asyncio.get_running_loop().run_in_executor(self._threads["following"], work)

    def close(self) -> None:
        """Begin nothing any more; what runs comes to its own end."""
        self._closed = True
        for threads in self._threads.values():
            threads.shutdown(wait=False, cancel_futures=True)

    def _left(self, name: str) -> None:
        self._inside[name] -= 1


def check_there(request: web.Request) -> None:
    """Whether the caller still waits.

    Raises:
        ConnectionError: He has left.
    """
    transport = request.transport
    if transport is None or transport.is_closing():
        raise ConnectionAbortedError("the caller has left")


def room_of(operation: Operation) -> str:
    """Where an operation is worked on."""
    if operation.id == "verify-ledger":
        return "auditing"
    if operation.id in LENGTHY:
        return "lengthy"
    return "acting" if operation.acts else "reading"
