"""How far long work has come, for whoever waits for it."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")

Progress = Callable[[str, int, int], None]
"""Called now and then with what is being done, the steps done and the steps in all."""

EVERY = 100
"""Steps between two reports."""


def untold(what: str, done: int, total: int) -> None:
    """Progress that nobody waits for."""


def through(items: Sequence[T], what: str, progress: Progress) -> Iterator[T]:
    """The items one by one, telling how many are done."""
    for done, item in enumerate(items):
        if done % EVERY == 0:
            progress(what, done, len(items))
        yield item
    progress(what, len(items), len(items))
