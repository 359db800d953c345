"""Where the way to a peer breaks off: each step by its name, from the address to the position.

Nothing is delivered and nothing recorded, so it can be asked at any time.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from node.authority import OwnAuthority
from node.bundle import PROTOCOL
from node.clock import CLOCK_GRACE_S
from node.errors import ConfigError, NodeError, PeerUnreachableError
from node.exchange.client import Answer, PeerClient, new_session
from node.ids import Authority
from node.jose.keys import read_key_set
from node.ledger import streams
from node.tls import client_context

STEP_S = 10
"""For each step."""

CLOCK_WARN_S = 30
"""The protocol forgives 120 s; say it well before."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the way.

    Attributes:
        name: ``name``, ``connect``, ``tls``, ``protocol``, ``keys``, ``clock`` or ``position``.
        good: Whether it went well.
        found: What was found.
        mend: What to do, where it did not.
    """

    name: str
    good: bool
    found: str
    mend: str = ""

    def as_json(self) -> dict[str, Any]:
        """All members; ``mend`` is None where there is nothing to do."""
        return {"step": self.name, "ok": self.good, "found": self.found, "mend": self.mend or None}


async def probe(own: OwnAuthority, peer: Authority) -> list[Step]:
    """Go the whole way to a peer, up to the first step that makes the next one impossible.

    Raises:
        ConfigError: ``not-called``: this node never calls the peer.
    """
    settings = own.book.settings[peer]
    if not settings.url:
        raise ConfigError(
            f"{peer} has no url in peers.toml: this node waits for its call, or for its files",
            code="not-called",
        )
    return [step async for step in _steps(own, peer, settings.url)]


async def _steps(own: OwnAuthority, peer: Authority, url: str) -> AsyncIterator[Step]:
    where = urlsplit(url)
    host, port = where.hostname or "", where.port or (443 if where.scheme == "https" else 80)
    for step in (_name, _connect):
        done = await step(host, port)
        yield done
        if not done.good:
            return
    if where.scheme == "https":
        done = await _tls(own, peer, host, port)
        yield done
        if not done.good:
            return
    async with new_session() as session:
        client = PeerClient(own, own.book.settings[peer], session)
        about, refused = await _ask(client, "/.well-known/kpx.json")
        done = refused or _protocol(own, peer, about)
        yield done
        if about is None or not done.good:
            return
        published, refused = await _ask(client, "/.well-known/jwks.json")
        yield refused or _keys(own, peer, published)
        yield _clock(own, about)
        yield await _position(own, peer, client)


async def _name(host: str, port: int) -> Step:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(STEP_S):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = "no answer" if isinstance(error, TimeoutError) else error
        return Step("name", False, f"{host}: {reason}", "mend url in peers.toml, or name service")
    addresses = sorted({str(one[4][0]) for one in found})
    return Step("name", True, f"{host} is {', '.join(addresses)}")


async def _connect(host: str, port: int) -> Step:
    try:
        async with asyncio.timeout(STEP_S):
            _, writer = await asyncio.open_connection(host, port)
    except OSError as error:
        reason = "no answer" if isinstance(error, TimeoutError) else error.strerror or error
        mend = "ask whether its node runs and a firewall lets this node through"
        return Step("connect", False, f"{host}:{port}: {reason}", mend)
    writer.close()
    return Step("connect", True, f"{host}:{port} accepts")


async def _tls(own: OwnAuthority, peer: Authority, host: str, port: int) -> Step:
    mend = "its certificate must be one the system trusts, or name its file as ca in peers.toml"
    try:
        context = client_context(own.config.tls, own.book.settings[peer])
        async with asyncio.timeout(STEP_S):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
    except (OSError, ConfigError) as error:
        reason = "no answer" if isinstance(error, TimeoutError) else error
        return Step("tls", False, f"{host}:{port}: {reason}", mend)
    version = writer.get_extra_info("ssl_object").version()
    writer.close()
    return Step("tls", True, str(version))


async def _ask(client: PeerClient, path: str) -> tuple[Answer | None, Step | None]:
    try:
        async with asyncio.timeout(STEP_S):
            answer = await client.get_open(path)
    except (PeerUnreachableError, TimeoutError) as error:
        reason = str(error) or "no answer"
    else:
        if answer.status == 200:
            return answer, None
        reason = f"status {answer.status}"
    name = "keys" if path.endswith("jwks.json") else "protocol"
    mend = "mend url in peers.toml: no node is there; or mend client_certificate in [tls]"
    return None, Step(name, False, f"{path}: {reason}", mend)


def _protocol(own: OwnAuthority, peer: Authority, answer: Answer | None) -> Step:
    about: dict[str, Any] = answer.json() if answer else {}
    if about.get("authority") != peer:
        found = f"this is the node of {about.get('authority')!r:.40}"
        return Step("protocol", False, found, f"mend url of {peer} in peers.toml")
    if about.get("sandbox", False) != own.sandbox:
        found = "one is sandbox, the other is not"
        return Step("protocol", False, found, "exchange with a node of your world")
    if PROTOCOL not in about.get("versions", ()):
        found = f"it speaks {about.get('versions')!r:.60}"
        return Step("protocol", False, found, f"one of the two must be updated: {PROTOCOL}")
    return Step("protocol", True, f"{peer} speaks {PROTOCOL}")


def _keys(own: OwnAuthority, peer: Authority, answer: Answer | None) -> Step:
    mend = "call its officials and compare fingerprints; then kpnode peer renew"
    try:
        published = read_key_set(answer.body if answer else b"").fingerprint
    except ConfigError as error:
        return Step("keys", False, str(error), mend)
    pinned = own.book.ring[peer].fingerprint if peer in own.book.ring else "none"
    if published != pinned:
        return Step("keys", False, f"pinned {pinned}, published {published}", mend)
    return Step("keys", True, pinned)


def _clock(own: OwnAuthority, answer: Answer) -> Step:
    apart = answer.clock_ahead_s(own.clock.now())
    if apart is None:
        return Step("clock", False, "it does not say what time it is", "ask its operator")
    found = f"{abs(apart):.0f} s {'ahead' if apart > 0 else 'behind'}"
    if abs(apart) > CLOCK_WARN_S:
        mend = f"set both clocks by NTP; beyond {CLOCK_GRACE_S} s nothing is accepted"
        return Step("clock", False, found, mend)
    return Step("clock", True, found)


async def _position(own: OwnAuthority, peer: Authority, client: PeerClient) -> Step:
    try:
        async with asyncio.timeout(STEP_S):
            answer = await client.get("/kpx/v1/position")
    except (NodeError, TimeoutError) as error:
        return Step("position", False, str(error) or "no answer", "try again")
    if answer.status != 200:
        code = str(answer.json().get("code", ""))
        found = f"{answer.status} {code} {answer.json().get('detail', '')}"[:200]
        return Step("position", False, found.strip(), _MEND.get(code, "ask its operator"))
    received = answer.json().get("received")
    have = received.get("have") if isinstance(received, dict) else None
    last = own.ledger.read(lambda tx: streams.sent_place(tx, peer))
    assert last is not None
    return Step("position", True, f"it holds {have} of {last.position} documents of ours")


_MEND = {
    "unknown-peer": "its operator must add this node (kpnode peer add), or pin the client "
    "certificate that [tls] here names",
    "bad-signature": "it has pinned other keys of ours: tell its officials our fingerprint",
    "expired": "set both clocks by NTP",
    "wrong-audience": "mend url in peers.toml",
    "paused": "its operator has paused the exchange, or its node cannot record: call",
    "too-many-requests": "wait a moment",
}
