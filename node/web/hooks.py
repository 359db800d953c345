"""Tells webhooks of events: each in order from its own durable cursor; one that fails delays no other."""

import asyncio
import json
from collections.abc import Iterable
from random import SystemRandom
from typing import Any

import aiohttp
import structlog

from node.authority import OwnAuthority
from node.errors import ConfigError
from node.exchange import backoff
from node.ledger import subscribers
from node.ledger.subscribers import Subscriber
from node.office.webhooks import check_allowed, headers
from node.watch import events

PATIENCE = aiohttp.ClientTimeout(total=15, connect=5)
GONE = 410
"""A receiver that answers so is not asked again, until someone says so."""

PING = "org.kp.ping"

log = structlog.get_logger()


class Hooks:
    """The webhooks of a node, for as long as it runs."""

    def __init__(self, own: OwnAuthority, session: aiohttp.ClientSession) -> None:
        self._own, self._session = own, session
        self._random = SystemRandom()
        self._telling: dict[str, asyncio.Task[None]] = {}

    def tell(self, webhooks: Iterable[Subscriber]) -> None:
        """Tell each what waits for it, beside the others and whatever else happens.

        Args:
            webhooks: As they are on record now.
        """
        now_s = self._own.now_s()
        for one in webhooks:
            task = self._telling.get(one.id)
            if one.stopped_at is None and now_s >= one.next_try and (task is None or task.done()):
                self._telling[one.id] = asyncio.create_task(self._tell(one))

    async def stop(self) -> None:
        """End at once; what was not taken is told the next time."""
        for task in self._telling.values():
            task.cancel()
        await asyncio.gather(*self._telling.values(), return_exceptions=True)

    async def _tell(self, one: Subscriber) -> None:
        """Hand over what waits for one, until it fails or nothing waits."""
        try:
            await self._hand_over(one)
        except Exception:  # whatever it is, the others go on and this one is looked at again
            log.exception("webhook", id=one.id)

    async def _hand_over(self, one: Subscriber) -> None:
        own, cursor = self._own, one.cursor
        while page := (await asyncio.to_thread(events.after, own, cursor, 100))["items"]:
            for event in page:
                error, stop = await post(own, self._session, one, event)
                if error is not None:
                    wait_s = backoff.delay_s(one.attempts + 1, self._random)
                    await asyncio.to_thread(self._failed, one, error, wait_s, stop)
                    return
                cursor = int(event["id"])
                if not await asyncio.to_thread(self._took, one, cursor):
                    return  # it was removed, or is told again from elsewhere

    def _took(self, one: Subscriber, cursor: int) -> bool:
        def write(tx: Any) -> bool:
            now = subscribers.by_id(tx, one.id)
            if now is None or now.cursor != cursor - 1:
                return False
            subscribers.took(tx, one.id, cursor)
            return True

        return self._own.ledger.write(write)

    def _failed(self, one: Subscriber, error: str, wait_s: float, stop: bool) -> None:
        now_s = self._own.now_s()
        log.warning("webhook not taken", id=one.id, error=error, next_try_s=round(wait_s, 1))
        stopped_at = now_s if stop else None
        next_try = now_s + int(wait_s) + 1
        self._own.ledger.write(
            lambda tx: subscribers.failed(tx, one.id, error, next_try, stopped_at=stopped_at)
        )


async def post(
    own: OwnAuthority, session: aiohttp.ClientSession, one: Subscriber, event: dict[str, Any]
) -> tuple[str | None, bool]:
    """Post one event; returns what went wrong, if anything, and whether the receiver is gone."""
    raw = json.dumps(event, ensure_ascii=False).encode()
    try:
        check_allowed(own, one.url)
        told = headers(own, one.id, f"{event['source']}/{event['id']}", raw)
        async with session.post(
            one.url, data=raw, headers=told, timeout=PATIENCE, allow_redirects=False
        ) as answer:
            if answer.status < 300:
                return None, False
            return f"it answered {answer.status}", answer.status == GONE
    except ConfigError as error:
        return str(error), False
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return str(error) or type(error).__name__, False


async def ping(own: OwnAuthority, one: Subscriber) -> str | None:
    """Post a test event, outside of the order; returns what went wrong, if anything."""
    event = {
        "specversion": "1.0",
        "id": f"ping-{own.now_s()}",
        "source": own.checkpoints.origin,
        "type": PING,
        "datacontenttype": "application/json",
        "data": {},
    }
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        return (await post(own, session, one, event))[0]
