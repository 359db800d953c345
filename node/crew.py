"""Worker processes of a node, so that verifying many documents uses every core.

Python runs one thread at a time; signatures and JSON share badly. The workers start with the first
large task, work on plain values and hold nothing: where one dies, its lot is done here.
"""

import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import fields
from operator import attrgetter
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import ProcessPoolExecutor

Lot = TypeVar("Lot", bound=Sequence[object])
R = TypeVar("R")

GC_OBJECTS = 100_000
"""Made before the collector looks: some twenty megabytes."""

C = TypeVar("C", bound=type)

MOST_WORKERS = 8
PROGRAM = "node.cli.__main__"
"""Imported by each worker as well, as multiprocessing starts them."""

WORTH_STARTING = 2000
"""Items handed in, or expected, before workers are started: coming up costs what these do."""


def travels(kind: C) -> C:
    """Let the values of a dataclass be pickled as the call that makes them.

    The way of dataclasses with slots looks every member up by name, in Python, and takes as long as
    parsing the document.
    """
    members = attrgetter(*(member.name for member in fields(kind)))

    def reduce(self: object) -> tuple[type, tuple[object, ...]]:
        return kind, members(self)

    kind.__reduce__ = reduce  # type: ignore[method-assign,assignment]
    return kind


class Crew:
    """Does lots of work in worker processes once they are there, and here until then."""

    def __init__(self, ready: str = "") -> None:
        """Names the module whose import makes ready what the work needs."""
        self._prepared = ready
        self._lock = threading.Lock()
        self._items = 0
        self._pool: ProcessPoolExecutor | None = None
        self._coming: threading.Thread | None = None

    def start(self, work: Callable[[Lot], R], lot: Lot) -> Callable[[], R]:
        """Begin a lot.

        Args:
            work: A function of a module, or a partial of one; depends on nothing but the lot.
            lot: What it is given; both must be picklable.

        Returns:
            Waits for the result and returns it.
        """
        pool = self._ready(len(lot))
        if pool is None:
            result = work(lot)
            return lambda: result
        try:
            future = pool.submit(work, lot)
        except BrokenExecutor:
            self._drop(pool)
            return self.start(work, lot)

        def wait() -> R:
            try:
                return future.result()
            except BrokenExecutor:
                self._drop(pool)
                return work(lot)

        return wait

    def expect(self, items: int) -> None:
        """Let the workers come up at once where so many items are about to be handed in."""
        if items >= WORTH_STARTING:
            self._ready(items)

    def close(self) -> None:
        """End the workers at once; what they do is not wanted any more."""
        if self._coming is not None:
            self._coming.join()
        if self._pool is not None:
            mine = list(self._pool._processes.values())  # noqa: SLF001 - no public way at once
            for process in mine:
                process.terminate()
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def _ready(self, items: int) -> "ProcessPoolExecutor | None":
        with self._lock:
            self._items += items
            if self._coming is None and self._items >= WORTH_STARTING:
                self._coming = threading.Thread(target=self._bring_up, name="crew")
                self._coming.start()
            return self._pool

    def _bring_up(self) -> None:
        """Beside the work that is done here meanwhile; where none come up, all of it is."""
        try:
            pool = _workers(self._prepared)
            pool.submit(_hello).result()
        except (BrokenExecutor, OSError, EOFError):
            return
        self._pool = pool

    def _drop(self, pool: "ProcessPoolExecutor") -> None:
        with self._lock:
            if self._pool is pool:
                self._pool, self._coming, self._items = None, None, 0


def _workers(ready: str) -> "ProcessPoolExecutor":
    # Late: most commands never need them, and the modules take a twentieth of a second.
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    # Copied from a fresh process that has loaded everything once: a copy of this one would have the
    # locks of its threads, and one by one each would load everything itself.
    # No more than the work needs: all that a node has loaded would take three times as long.
    context = multiprocessing.get_context("forkserver")
    ours = [name for name in sys.modules if name.partition(".")[0] == "node"]
    context.set_forkserver_preload([ready, PROGRAM] if ready else ours)
    return ProcessPoolExecutor(
        min(os.cpu_count() or 1, MOST_WORKERS), mp_context=context, initializer=_begin
    )


def seldom_collect() -> None:
    """Tell the garbage collector what kind of process this is.

    Documents have no cycles: looking for some after every 700 objects is a quarter of a bundle's
    time. What is there at the start stays, so it is not looked at again.
    """
    gc.freeze()
    gc.set_threshold(GC_OBJECTS, 20, 50)


def _begin() -> None:
    """In a worker: Ctrl-C is for the node, and no worker outlives it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    seldom_collect()
    threading.Thread(target=_end_with_node, daemon=True).start()


def _end_with_node() -> None:
    import multiprocessing

    node = multiprocessing.parent_process()
    assert node is not None
    node.join()
    os._exit(0)


def _hello() -> None:
    """The first thing a worker does, by which it is known to be there."""
