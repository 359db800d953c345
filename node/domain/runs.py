"""Documents that can be judged and recorded together, as none of them bears on another.

Judging asks the ledger, recording changes it. Done in turns for each document, a bundle of a
thousand takes ten thousand small steps; done run by run, it takes a few large ones.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


MOST = 100
"""Of a run: more in one statement gains nothing, and whoever makes them need not be waited for."""


def runs(
    items: Iterable[T],
    names: Callable[[T], Iterable[str]],
    alone: Callable[[T], bool] = lambda _: False,
) -> Iterator[list[T]]:
    """Cut a sequence, in order, before each item that shares a name with one of its run.

    Args:
        items: What is to be judged.
        names: The doc ids and numbers that judging or recording an item may touch.
        alone: Whether an item may touch any other, and is a run of its own.
    """
    run: list[T] = []
    taken: set[str] = set()
    last_alone = False
    for item in items:
        named, by_itself = tuple(names(item)), alone(item)
        if run and (len(run) == MOST or by_itself or last_alone or not taken.isdisjoint(named)):
            yield run
            run, taken = [], set()
        last_alone = by_itself
        run.append(item)
        taken.update(named)
    if run:
        yield run
