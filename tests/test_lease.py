"""The one delivery at a time: kept for a moment, never by two, and given back."""

import asyncio
import threading

import pytest

from node.authority import OwnAuthority
from node.exchange import lease as lease_module
from node.exchange.lease import Lease, Leased
from node.ids import Authority
from node.ledger import peers
from tests.serving import until

BE = Authority("EU-BE")


def holder(own: OwnAuthority) -> str | None:
    (found,) = own.ledger.read(
        lambda tx: tx.execute("SELECT lease FROM peers WHERE authority = 'EU-BE'").fetchone()
    )
    return found


async def test_it_is_kept_for_the_next_delivery_and_then_given_back(ru: OwnAuthority) -> None:
    mine, other = Lease(ru, BE, "serve"), Lease(ru, BE, "sync")
    async with mine.held(keep=True) as leased:
        assert leased is Leased.MINE
    first = holder(ru)

    async with other.held(keep=False) as theirs:
        assert theirs is Leased.BUSY
    async with mine.held(keep=True) as again:
        assert again is Leased.MINE
        assert holder(ru) == first

    await until(lambda: holder(ru) is None)
    async with other.held(keep=False) as theirs:
        assert theirs is Leased.MINE
    await until(lambda: holder(ru) is None)


async def test_a_drop_that_comes_late_leaves_the_next_holding_alone(ru: OwnAuthority) -> None:
    mine, other, gate = Lease(ru, BE, "serve"), Lease(ru, BE, "sync"), threading.Event()
    async with mine.held(keep=False):
        ru.ledger._soon.submit(gate.wait)  # simulated: the WAL is being copied to a slow disk
    async with mine.held(keep=False) as again:
        assert again is Leased.MINE
        gate.set()
        await asyncio.to_thread(ru.ledger._soon.submit(lambda: None).result)

        async with other.held(keep=False) as theirs:
            assert theirs is Leased.BUSY


async def test_one_that_was_lost_meanwhile_is_not_kept(
    ru: OwnAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_module, "LEASE_S", 3)
    mine, until_s = Lease(ru, BE, "serve"), ru.now_s() + 60
    async with mine.held(keep=True):
        # simulated: this process slept, and another took the lease over
        ru.ledger.write(
            lambda tx: tx.execute(
                "UPDATE peers SET lease = 'sync-1-x', lease_until = ?", (until_s,)
            )
        )
        await asyncio.sleep(1.5)  # one renewal

    monkeypatch.setattr(lease_module, "LEASE_S", 30)
    async with mine.held(keep=True) as again:
        assert again is Leased.BUSY
    assert holder(ru) == "sync-1-x"


async def test_a_paused_peer_has_none(ru: OwnAuthority) -> None:
    ru.ledger.write(lambda tx: peers.update(tx, BE, paused_at=1, paused_because="test"))

    async with Lease(ru, BE, "serve").held(keep=True) as leased:
        assert leased is Leased.PAUSED

    await until(lambda: holder(ru) is None)
