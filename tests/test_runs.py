"""Runs: what may be judged together, in order, without looking at one another."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from node.domain.runs import MOST, runs

items = st.lists(st.lists(st.integers(0, 12).map(str), min_size=1, max_size=3), max_size=40)


@given(items)
def test_nothing_is_lost_and_the_order_stays(names: list[list[str]]) -> None:
    assert [item for run in runs(names, lambda item: item) for item in run] == names


@given(items)
def test_no_two_of_a_run_share_a_name_and_no_run_could_be_longer(names: list[list[str]]) -> None:
    cut = list(runs(names, lambda item: item))
    for run in cut:
        for at, item in enumerate(run):
            assert all(set(item).isdisjoint(other) for other in run[:at])
    for run, after in pairwise(cut):
        assert not {name for item in run for name in item}.isdisjoint(after[0])


def test_a_run_ends_where_more_would_gain_nothing() -> None:
    assert [len(run) for run in runs(range(2 * MOST + 1), lambda n: [str(n)])] == [MOST, MOST, 1]
