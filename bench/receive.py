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


def measure(runs: int, count: int) -> list[Figure]:
    figure = Figure("bulk receive", "V2", "≥ 0.35", "0.5", "documents/s")
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as folder:
            homes = make_homes(Path(folder), "RU", "BY")
            with open_node(homes["RU"]) as own:
                issue_all(own, count)
                made = bundles(own, "BY", DOCUMENTS)
                url = own.book.settings[own.config.peers[0].authority].url
            before = verifications_per_s(2)
            with serving(homes["BY"]):
                took, cpu = asyncio.run(post(url, made))
            figure.add(count / took, before, verifications_per_s(2))
            print(f"  {count / took:,.0f} documents/s, client's own CPU {cpu / took:.0%}")
    return [figure]


async def post(url: str, made: list[bytes]) -> tuple[float, float]:
    began, cpu = time.perf_counter(), time.process_time()
    receipts = []
    async with aiohttp.ClientSession() as http:
        for raw in made:
            async with http.post(
                f"{url}/kpx/v1/bundles", data=io.BytesIO(raw), headers={"Content-Type": MEDIA_TYPE}
            ) as answer:
                assert answer.status == 200, await answer.text()
                receipts.append(await answer.read())
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    for receipt in receipts:
        body = json.loads(base64url.decode(receipt.split(b".")[1]))["body"]
        assert {result["outcome"] for result in body["results"]} == {"accepted"}
    return took, cpu
