"""A node's home: `peers.toml` and the paths it names."""

import ipaddress
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from node.errors import ConfigError, Finding
from node.ids import Authority

PEERS_FILE = "peers.toml"
MAX_CONFIG_BYTES = 1024 * 1024

Check = Callable[[str, Any], Sequence[Finding]]
"""Findings of an instance against a named schema; handed in, so that settings stay below it."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A host and port to listen on."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """The table ``[node]``; paths are absolute."""

    authority: Authority
    name: str
    url: str
    listen: Endpoint
    console: Endpoint
    sandbox: bool
    timezone: ZoneInfo
    database: Path
    keys: Path

    @property
    def origin(self) -> str:
        """The origin of this authority's log."""
        return log_origin(self.authority, self.sandbox)

    @property
    def key_set(self) -> Path:
        """The published key set."""
        return self.keys / f"{self.authority}.jwks.json"

    @property
    def private_keys(self) -> Path:
        """The folder of private keys."""
        return self.keys / "private"

    @property
    def released_checkpoint(self) -> Path:
        """The last checkpoint let out, kept outside the database."""
        return self.database.with_name("released-checkpoint")


@dataclass(frozen=True, slots=True)
class PeerSettings:
    """One table ``[[peer]]``; paths are absolute."""

    authority: Authority
    name: str
    url: str
    jwks: Path
    mode: str


@dataclass(frozen=True, slots=True)
class Policy:
    """The table ``[policy]``: what this authority has decided for itself.

    Attributes:
        four_eyes: Who drafted a certificate may not issue it.
        tolerance_carats, tolerance_usd: By how much goods may differ from their certificate at
            inspection and still count as issued; always on record.
    """

    four_eyes: bool = False
    tolerance_carats: Decimal = Decimal(0)
    tolerance_usd: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Config:
    """The whole of `peers.toml`."""

    home: Path
    node: NodeSettings
    peers: tuple[PeerSettings, ...]
    policy: Policy = Policy()

    def peer(self, authority: str) -> PeerSettings | None:
        """The settings of one peer."""
        return next((p for p in self.peers if p.authority == authority), None)


def log_origin(authority: str, sandbox: bool) -> str:
    """The origin line of an authority's log (protocol section 5)."""
    return f"{'kpx-sandbox' if sandbox else 'kpx'}/{authority}"


def load(home: Path, check: Check) -> Config:
    """Read and check `peers.toml`.

    Raises:
        ConfigError: ``no-home``, ``bad-config``, ``insecure-url``; the text names the member and
            what to do.
    """
    path = home / PEERS_FILE
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise ConfigError(
            f"{path} is missing; make a home with: kpnode init DIR --authority A --name N --url U",
            code="no-home",
        ) from None
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    return parse(raw, home, check)


def parse(raw: bytes, home: Path, check: Check) -> Config:
    """Check the text of a `peers.toml` that belongs in a home.

    Raises:
        ConfigError: ``bad-config`` or ``insecure-url``.
    """
    if len(raw) > MAX_CONFIG_BYTES:
        raise ConfigError(f"{PEERS_FILE} is larger than {MAX_CONFIG_BYTES} bytes")
    try:
        data = tomllib.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{PEERS_FILE} is no TOML: {error}") from None
    findings = check("peers.v1", data)
    if findings:
        listed = "; ".join(f"{f.pointer or '/'}: {f.detail}" for f in findings)
        raise ConfigError(f"{PEERS_FILE}: {listed}")
    node = _node(home.resolve(), data["node"])
    peers = tuple(_peer(home.resolve(), node, table) for table in data.get("peer", ()))
    names = [peer.authority for peer in peers]
    if len(set(names)) != len(names):
        raise ConfigError(f"{PEERS_FILE}: a peer stands twice")
    return Config(home.resolve(), node, peers, _policy(data.get("policy", {})))


def peer_table(authority: str, name: str, url: str, jwks: str, mode: str) -> str:
    """The text of a ``[[peer]]`` table, to be appended to `peers.toml`."""
    values = {"authority": authority, "name": name, "url": url, "jwks": jwks, "mode": mode}
    return "\n[[peer]]\n" + "".join(f"{key} = {toml_text(v)}\n" for key, v in values.items())


def node_table(values: dict[str, Any]) -> str:
    """The text of a ``[node]`` table."""
    lines = []
    for key, value in values.items():
        text = str(value).lower() if isinstance(value, bool) else toml_text(value)
        lines.append(f"{key} = {text}\n")
    return "[node]\n" + "".join(lines)


def toml_text(value: str) -> str:
    """A TOML basic string."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in escaped) + '"'


def is_loopback(url: str) -> bool:
    """Whether a URL leads to this machine."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False  # a name, or no address at all


def check_url(url: str, sandbox: bool) -> None:
    """Plain http only in the sandbox or to loopback (protocol section 4).

    Raises:
        ConfigError: ``insecure-url``.
    """
    if url.startswith("http://") and not (sandbox or is_loopback(url)):
        raise ConfigError(f"{url}: production needs https", code="insecure-url")


def _node(home: Path, table: dict[str, Any]) -> NodeSettings:
    try:
        timezone = ZoneInfo(table.get("timezone", "UTC"))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(
            f"{PEERS_FILE}: /node/timezone: no time zone {table['timezone']!r}"
        ) from None
    sandbox = table.get("sandbox", False)
    check_url(table["url"], sandbox)
    return NodeSettings(
        authority=Authority(table["authority"]),
        name=table["name"],
        url=table["url"].rstrip("/"),
        listen=_endpoint("/node/listen", table["listen"]),
        console=_endpoint("/node/console", table["console"]),
        sandbox=sandbox,
        timezone=timezone,
        database=home / table.get("database", "data/node.db"),
        keys=home / table.get("keys", "keys"),
    )


def _peer(home: Path, node: NodeSettings, table: dict[str, Any]) -> PeerSettings:
    check_url(table["url"], node.sandbox)
    if table["authority"] == node.authority:
        raise ConfigError(f"{PEERS_FILE}: {node.authority} is this node and no peer of its own")
    return PeerSettings(
        authority=Authority(table["authority"]),
        name=table.get("name", table["authority"]),
        url=table["url"].rstrip("/"),
        jwks=home / table["jwks"],
        mode=table.get("mode", "push"),
    )


def _policy(table: dict[str, Any]) -> Policy:
    return Policy(
        four_eyes=table.get("four_eyes", False),
        tolerance_carats=Decimal(table.get("tolerance_carats", "0")),
        tolerance_usd=Decimal(table.get("tolerance_usd", "0")),
    )


def _endpoint(where: str, text: str) -> Endpoint:
    host, _, port = text.rpartition(":")
    if not 0 < int(port) < 65536:
        raise ConfigError(f"{PEERS_FILE}: {where}: no port {port}")
    return Endpoint(host, int(port))
