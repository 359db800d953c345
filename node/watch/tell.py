"""Tell the operator of alerts: the operator's own command, or a webhook. What fails is logged."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import aiohttp
import structlog

from node.authority import OwnAuthority
from node.clock import iso
from node.ledger.alerts import Alert
from node.watch.conditions import CONDITIONS, Changed

PATIENCE_S = 20

AGAIN_S = (10, 60, 600, 3600, 3600, 3600)
"""Who did not take an alert is asked again after so many seconds; after that it is in the log."""

log = structlog.get_logger()


async def tell(own: OwnAuthority, session: aiohttp.ClientSession, changed: Changed) -> None:
    """Log what began and ended, and hand each to the command and the webhook of ``[alerts]``.

    Whoever does not take it is asked again, at growing distances, for some hours.
    """
    for event, those in (("began", changed.began), ("ended", changed.ended)):
        for alert in those:
            told = as_json(own, alert, event)
            write = log.warning if event == "began" else log.info
            write(f"alert {event}", code=alert.code, subject=alert.subject, detail=alert.detail)
            settings = own.config.alerts
            if settings.command:
                await _until_taken(partial(_run, settings.command, told))
            if settings.webhook:
                await _until_taken(partial(_post, session, settings.webhook, told))


async def _until_taken(hand_over: Callable[[], Awaitable[str | None]]) -> None:
    for pause_s in AGAIN_S:
        error = await hand_over()
        if error is None:
            return
        log.error("alert not taken", error=error, again_s=pause_s)
        await asyncio.sleep(pause_s)


def as_json(own: OwnAuthority, alert: Alert, event: str) -> dict[str, Any]:
    """An alert as it is told."""
    condition = CONDITIONS[alert.code]
    return {
        "event": event, "code": alert.code, "node": own.name, "sandbox": own.sandbox,
        "subject": alert.subject or None, "detail": alert.detail, "since": iso(alert.since),
        "means": condition.means, "do": condition.do.replace("PEER", alert.subject or "PEER"),
    }  # fmt: skip


async def _run(command: tuple[str, ...], told: dict[str, Any]) -> str | None:
    """Run the command; returns what went wrong, or None."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, ValueError) as error:
        return f"{command[0]}: {error}"
    try:
        async with asyncio.timeout(PATIENCE_S):
            await process.communicate(json.dumps(told).encode())
    except TimeoutError:
        return f"{command[0]}: not done in {PATIENCE_S} s"
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return f"{command[0]}: ended with {process.returncode}" if process.returncode else None


async def _post(session: aiohttp.ClientSession, url: str, told: dict[str, Any]) -> str | None:
    """Post to the webhook; returns what went wrong, or None."""
    timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
    try:
        async with session.post(url, json=told, timeout=timeout, allow_redirects=False) as answer:
            return f"webhook answered {answer.status}" if answer.status >= 300 else None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return f"webhook: {type(error).__name__}: {error}"
