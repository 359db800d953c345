"""Exchange rounds on demand, beside the couriers of a running node or without it."""

import asyncio
from collections.abc import Callable
from typing import Any

from node.authority import OwnAuthority
from node.errors import ConfigError
from node.exchange.client import new_session
from node.exchange.courier import Courier, Round
from node.exchange.dispatch import Dispatch
from node.exchange.lease import KEPT_S
from node.ids import Authority

HOLDER = "sync"


def sync(own: OwnAuthority, peer: str | None, attend: Callable[[], int]) -> dict[str, Any]:
    """Exchange once, now, with each peer that is called, or with one.

    Args:
        own: This node.
        peer: Only with this authority.
        attend: Sees to what came in; returns how much there was to do.

    Returns:
        ``items``: for each peer what was ``delivered`` and ``fetched``, the ``error`` or None, and
        whether the running node was ``busy`` with it; ``next`` is None.

    Raises:
        NotFoundError: It is no peer.
        ConfigError: ``not-called``: it has no url, or mode carry.
    """
    check_called(own, peer)
    done = asyncio.run(_rounds(own, peer))
    if attend():  # what came in is answered at once
        done |= {
            name: _both(done[name], again)
            for name, again in asyncio.run(_rounds(own, peer)).items()
        }
    items = [
        {"authority": name, "delivered": one.delivered, "fetched": one.fetched,
         "error": one.error, "busy": one.busy}
        for name, one in done.items()
    ]  # fmt: skip
    items += [
        {"authority": name, "delivered": 0, "fetched": 0, "error": why, "busy": False}
        for name, why in own.book.stopped.items()
        if peer in (None, name)
    ]
    return {"items": items, "next": None}


def check_called(own: OwnAuthority, peer: str | None) -> None:
    """Whether this node calls a peer.

    Raises:
        NotFoundError: It is no peer.
        ConfigError: ``not-called``.
    """
    if peer is None:
        return
    if not own.config.known_peer(peer).called:
        detail = "it has no url, or mode carry; see kpnode bundle export"
        raise ConfigError(f"{peer} is not called: {detail}", code="not-called")


def _both(first: Round, second: Round) -> Round:
    return Round(
        first.delivered + second.delivered,
        first.bundles + second.bundles,
        first.fetched + second.fetched,
        second.error or first.error,
        second.retry_s,
        second.busy,
    )


async def _rounds(own: OwnAuthority, peer: str | None) -> dict[Authority, Round]:
    async with new_session() as session:
        dispatch = Dispatch(own, session, HOLDER)
        names = [name for name in dispatch.called() if peer in (None, name)]
        done = await asyncio.gather(*(_round(dispatch.courier(name)) for name in names))
    return dict(zip(names, done, strict=True))


async def _round(courier: Courier) -> Round:
    done = await courier.round(heartbeat=True)
    if done.busy:  # the running node may only have kept its lease
        await asyncio.sleep(2 * KEPT_S)
        done = await courier.round(heartbeat=True)
    return done
