"""Bulk receive: bundles signed beforehand, posted by one client to a node's real listener."""

import asyncio
import io
import json
import tempfile
import time
from pathlib import Path

import aiohttp

from bench.homes import bundles, issue_all
from bench.limits import Figure, verifications_per_s
from node import base64url
from node.bundle import MEDIA_TYPE
from node.wiring import open_node
from tests.nodes import make_homes, serving

DOCUMENTS = 500
"""Of a bundle."""

SENDERS = ("RU", "BW")
"""Authorities that send at once. Each waits for a receipt before its next bundle, as the protocol
has it, so that one alone leaves the node with nothing to do in between."""


def measure(runs: int, count: int) -> list[Figure]:
    one, several = (
        Figure(f"bulk receive from {senders}", "V2", "≥ 0.35", "0.5", "documents/s")
        for senders in ("one authority", "two at once")
    )
    for _ in range(runs):
        for figure, senders in ((one, SENDERS[:1]), (several, SENDERS)):
            _measure(figure, senders, count)
    return [one, several]


def _measure(figure: Figure, senders: tuple[str, ...], count: int) -> None:
    """How many documents a second a node takes, of so many in all.

    A quarter as many come before, without being timed: a node's workers come up with its first
    thousands.
    """
    each = count // len(senders)
    with tempfile.TemporaryDirectory() as folder:
        homes = make_homes(Path(folder), "BY", *senders)
        before, timed = [], []
        for sender in senders:
            with open_node(homes[sender]) as own:
                url = own.config.known_peer("BY").url
                issue_all(own, each // 4)
                before.append(bundles(own, "BY", DOCUMENTS))
                issue_all(own, each, each // 4)
                timed.append(bundles(own, "BY", DOCUMENTS))
        limit = verifications_per_s(2)
        with serving(homes["BY"]):
            asyncio.run(post(url, before))
            took, cpu = asyncio.run(post(url, timed))
    rate = each * len(senders) / took
    figure.add(rate, limit, verifications_per_s(2))
    print(f"  {rate:,.0f} documents/s from {len(senders)}, client's own CPU {cpu / took:.0%}")


async def post(url: str, streams: list[list[bytes]]) -> tuple[float, float]:
    """Post the bundles of several senders at once, those of each one after another.

    Returns:
        The seconds it took, and the client's own seconds of processor.
    """
    began, cpu = time.perf_counter(), time.process_time()
    async with aiohttp.ClientSession() as http:
        receipts = await asyncio.gather(*(_post(http, url, stream) for stream in streams))
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    for receipt in (receipt for received in receipts for receipt in received):
        body = json.loads(base64url.decode(receipt.split(b".")[1]))["body"]
        assert {result["outcome"] for result in body["results"]} == {"accepted"}
    return took, cpu


async def _post(http: aiohttp.ClientSession, url: str, stream: list[bytes]) -> list[bytes]:
    receipts = []
    for raw in stream:
        async with http.post(
            f"{url}/kpx/v1/bundles", data=io.BytesIO(raw), headers={"Content-Type": MEDIA_TYPE}
        ) as answer:
            assert answer.status == 200, await answer.text()
            receipts.append(await answer.read())
    return receipts
