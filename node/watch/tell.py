"""Tell the operator of alerts: the operator's own command, or a webhook. What fails is logged."""

import asyncio
import json
from typing import Any

import aiohttp
import structlog

from node.authority import OwnAuthority
from node.clock import iso
from node.ledger.alerts import Alert
from node.watch.conditions import CONDITIONS, Changed

PATIENCE_S = 20

log = structlog.get_logger()


async def tell(own: OwnAuthority, session: aiohttp.ClientSession, changed: Changed) -> None:
    """Log what began and ended, and hand each to the command and the webhook of ``[alerts]``."""
    for event, those in (("began", changed.began), ("ended", changed.ended)):
        for alert in those:
            told = as_json(own, alert, event)
            write = log.warning if event == "began" else log.info
            write(f"alert {event}", code=alert.code, subject=alert.subject, detail=alert.detail)
            settings = own.config.alerts
            if settings.command:
                await _run(settings.command, told)
            if settings.webhook:
                await _post(session, settings.webhook, told)


def as_json(own: OwnAuthority, alert: Alert, event: str) -> dict[str, Any]:
    """An alert as it is told."""
    condition = CONDITIONS[alert.code]
    return {
        "event": event, "code": alert.code, "node": own.name, "sandbox": own.sandbox,
        "subject": alert.subject or None, "detail": alert.detail, "since": iso(alert.since),
        "means": condition.means, "do": condition.do.replace("PEER", alert.subject or "PEER"),
    }  # fmt: skip


async def _run(command: tuple[str, ...], told: dict[str, Any]) -> None:
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
    except OSError as error:
        log.error("alert command", command=command[0], error=str(error))
        return
    try:
        async with asyncio.timeout(PATIENCE_S):
            await process.communicate(json.dumps(told).encode())
    except TimeoutError:
        process.kill()
        log.error("alert command", command=command[0], error=f"not done in {PATIENCE_S} s")
        return
    if process.returncode:
        log.error("alert command", command=command[0], error=f"ended with {process.returncode}")


async def _post(session: aiohttp.ClientSession, url: str, told: dict[str, Any]) -> None:
    timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
    try:
        async with session.post(url, json=told, timeout=timeout, allow_redirects=False) as answer:
            if answer.status >= 300:
                log.error("alert webhook", error=f"answered {answer.status}")
    except (aiohttp.ClientError, OSError, ValueError) as error:
        log.error("alert webhook", error=f"{type(error).__name__}: {error}")
