"""Worker processes: they come up with work, die without harm, and never outlive the node."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

import pytest

from node.crew import WORTH_STARTING, Crew

LOT = list(range(100))


def where(_: Sequence[int]) -> int:
    return os.getpid()


def doubled(lot: Sequence[int]) -> list[int]:
    return [2 * item for item in lot]


def fails(_: Sequence[int]) -> int:
    raise ValueError("of this lot")


def dies(_: Sequence[int]) -> int:
    if os.getpid() != NODE:
        os._exit(1)
    return -1


NODE = os.getpid()


@pytest.fixture
def crew() -> Iterator[Crew]:
    with closing(Crew()) as made:
        yield made


def up(crew: Crew) -> int:
    """Bring the workers up; returns the pid of one."""
    for _ in range(600):
        if (pid := crew.start(where, LOT)()) != NODE:
            return pid
        time.sleep(0.05)
    raise AssertionError("no worker came up")


def test_small_work_is_done_here(crew: Crew) -> None:
    done = [crew.start(where, LOT)() for _ in range(WORTH_STARTING // len(LOT) - 1)]

    assert set(done) == {NODE}


def test_large_work_goes_to_workers(crew: Crew) -> None:
    up(crew)

    waits: list[Callable[[], list[int]]] = [crew.start(doubled, LOT) for _ in range(20)]

    assert [wait() for wait in waits] == [doubled(LOT)] * 20


def test_an_error_comes_back(crew: Crew) -> None:
    up(crew)

    with pytest.raises(ValueError, match="of this lot"):
        crew.start(fails, LOT)()


def test_a_lot_whose_worker_dies_is_done_here_and_others_come_up(crew: Crew) -> None:
    up(crew)

    assert crew.start(dies, LOT)() == -1
    assert up(crew) != NODE


def test_workers_end_with_a_node_that_is_killed() -> None:
    program = (
        "import time, tests.test_crew as t\n"
        "crew = t.Crew()\n"
        "t.NODE = t.os.getpid()\n"
        "print(t.up(crew), flush=True)\n"
        "time.sleep(60)\n"
    )
    node = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert node.stdout is not None
    worker = int(node.stdout.readline())
    os.kill(worker, 0)

    node.send_signal(signal.SIGKILL)
    node.wait(10)
    node.stdout.close()

    for _ in range(100):
        if not _runs(worker):
            return
        time.sleep(0.1)
    raise AssertionError("the worker lives on")


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
