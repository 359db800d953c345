"""Fixtures: a pair of nodes in one process, with real files and a simulated clock."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from node.authority import OwnAuthority
from tests.nodes import SetClock, make_homes, opened
from tests.wire import Wire

# A slow machine is no failure: the first example of a clean clone pays for character tables.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=1, help="Rounds of the kill tests (make soak).")
    parser.addoption("--rounds", type=int, default=10, help="Rounds of the chaos test (make soak).")


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def homes(tmp_path: Path) -> dict[str, Path]:
    return make_homes(tmp_path, "RU", "EU-BE")


@pytest.fixture
def nodes(homes: dict[str, Path], clock: SetClock) -> Iterator[dict[str, OwnAuthority]]:
    with opened(homes, clock) as both:
        yield both


@pytest.fixture
def ru(nodes: dict[str, OwnAuthority]) -> OwnAuthority:
    return nodes["RU"]


@pytest.fixture
def be(nodes: dict[str, OwnAuthority]) -> OwnAuthority:
    return nodes["EU-BE"]


@pytest.fixture
def wire(ru: OwnAuthority, be: OwnAuthority) -> Wire:
    """RU as a peer that may send anything, EU-BE as the node under test."""
    return Wire(ru, be)
