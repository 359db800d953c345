"""A node's home: `peers.toml` and the paths it names."""

import ipaddress
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from node.errors import ConfigError, Finding, NotFoundError
from node.ids import Authority

PEERS_FILE = "peers.toml"
PUSH, PULL, CARRY = MODES = ("push", "pull", "carry")
MAX_CONFIG_BYTES = 1024 * 1024

REFERENCE_FOLDER = "reference"
MAX_REFERENCE_BYTES = 1024 * 1024

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
        """The origin of this authority's first log."""
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
class TlsSettings:
    """The table ``[tls]``; paths are absolute.

    Attributes:
        certificate, key: Of the peer listener, PEM; None where a proxy stands in front.
        minimum: The oldest version spoken, ``1.2`` or ``1.3``.
        client_certificate, client_key: What this node shows to peers that ask for one.
    """

    certificate: Path | None = None
    key: Path | None = None
    minimum: str = "1.3"
    client_certificate: Path | None = None
    client_key: Path | None = None


@dataclass(frozen=True, slots=True)
class PeerSettings:
    """One table ``[[peer]]``; paths are absolute.

    Attributes:
        url: Where its node is reached; ``""`` if it cannot be called.
        mode: ``push``: each calls the other. ``pull``: only one of the two can be called, and the
            other does all the calling. ``carry``: files.
        ca: Whose certificates its server may show, PEM; None for those the system trusts.
        client_certificate: The one certificate its client must show, PEM; None for no demand.
        thresholds: When its conditions count, where that differs from other peers.
    """

    authority: Authority
    name: str
    url: str
    jwks: Path
    mode: str
    ca: Path | None = None
    client_certificate: Path | None = None
    thresholds: "Thresholds | None" = None

    @property
    def called(self) -> bool:
        """Whether this node calls it."""
        return self.mode != CARRY and bool(self.url)


@dataclass(frozen=True, slots=True)
class Vigilance:
    """One table ``[[vigilance]]``: certificates that all of its members fit; None fits any."""

    because: str
    provenance: str | None = None
    origin: str | None = None
    transport: str | None = None
    consignment_kind: str | None = None

    def fits(self, body: Mapping[str, Any]) -> bool:
        """Whether a certificate is meant."""
        told = {
            "provenance": (body["provenance"],),
            "origin": body["mining_origins"],
            "transport": (body.get("transport", {}).get("mode"),),
            "consignment_kind": (body["consignment_kind"],),
        }
        return all(getattr(self, name) in (None, *values) for name, values in told.items())


@dataclass(frozen=True, slots=True)
class Policy:
    """The table ``[policy]``: what this authority has decided for itself.

    Attributes:
        four_eyes: Who drafted a certificate may not issue it.
        tolerance_carats, tolerance_usd: By how much goods may differ from their certificate at
            inspection and still count as issued; always on record.
        vigilance: What this authority wants to be looked at closely.
        least_usd_per_carat, most_usd_per_carat: Between these, a line of a certificate issued here
            is plausible; None where there is no such limit.
    """

    four_eyes: bool = False
    tolerance_carats: Decimal = Decimal(0)
    tolerance_usd: Decimal = Decimal(0)
    vigilance: tuple["Vigilance", ...] = ()
    least_usd_per_carat: Decimal | None = None
    most_usd_per_carat: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When a condition of a peer counts (``[alerts]``, or the peer's own table).

    Attributes:
        silent_minutes: Nothing in one direction for so long; three heartbeats.
        lag_minutes: The oldest document that waits is so old.
        overdue_days: A certificate issued so long ago is not confirmed.
    """

    silent_minutes: int = 45
    lag_minutes: int = 60
    overdue_days: int = 30


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """The table ``[alerts]``: when and how the operator is told.

    Attributes:
        command: Program and arguments; gets the alert as JSON on stdin.
        webhook: URL that the alert is posted to.
        thresholds: Of peers that have none of their own.
        backup_days, key_days, disk_gib: The node's own conditions.
    """

    command: tuple[str, ...] = ()
    webhook: str = ""
    thresholds: Thresholds = Thresholds()
    backup_days: int = 7
    key_days: int = 30
    disk_gib: int = 1


@dataclass(frozen=True, slots=True)
class Config:
    """The whole of `peers.toml`, and names and texts of the tables in the home's ``reference``.

    Attributes:
        webhooks: Origins, like ``https://erp.example.org``, that events may be posted to.
    """

    home: Path
    node: NodeSettings
    peers: tuple[PeerSettings, ...]
    policy: Policy = Policy()
    tls: TlsSettings = TlsSettings()
    alerts: AlertSettings = AlertSettings()
    reference: tuple[tuple[str, str], ...] = ()
    webhooks: tuple[str, ...] = ()

    def thresholds(self, authority: str) -> Thresholds:
        """When conditions of a peer count."""
        peer = self.peer(authority)
        return peer.thresholds if peer and peer.thresholds else self.alerts.thresholds

    def peer(self, authority: str) -> PeerSettings | None:
        """The settings of one peer."""
        return next((p for p in self.peers if p.authority == authority), None)

    def known_peer(self, authority: str) -> PeerSettings:
        """The settings of one peer, as somebody has named it.

        Raises:
            NotFoundError: It is none.
        """
        found = self.peer(authority)
        if found is None:
            raise NotFoundError(f"{authority} is no peer of this node; see kpnode peer list")
        return found


def log_origin(authority: str, sandbox: bool, number: int = 1) -> str:
    """The origin line of an authority's log; a successor is number 2, 3… (protocol section 5)."""
    return successor_origin(f"{'kpx-sandbox' if sandbox else 'kpx'}/{authority}", number)


def successor_origin(first: str, number: int) -> str:
    """The origin of a later log, from that of the first."""
    return first if number == 1 else f"{first}/{number}"


def log_number(authority: str, origin: str) -> int | None:
    """Which log of an authority an origin names, in either world; None if it is none of its."""
    match = re.fullmatch(r"kpx(?:-sandbox)?/([A-Z0-9-]{2,15})(?:/([1-9][0-9]{0,5}))?", origin)
    if match is None or match[1] != authority or match[2] == "1":
        return None
    return int(match[2] or 1)


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
    return replace(parse(raw, home, check), reference=_reference(home))


def _reference(home: Path) -> tuple[tuple[str, str], ...]:
    """The tables that replace those of the package; `node.domain.reference` reads them."""
    found = []
    for path in sorted((home / REFERENCE_FOLDER).glob("*.csv")):
        try:
            raw = path.read_bytes()
            if len(raw) > MAX_REFERENCE_BYTES:
                raise ValueError(f"larger than {MAX_REFERENCE_BYTES} bytes")
            found.append((path.name, raw.decode("utf-8-sig")))
        except (OSError, ValueError) as error:
            raise ConfigError(f"{path}: {error}", code="bad-reference") from None
    return tuple(found)


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
    alerts = _alerts(data.get("alerts", {}), node.sandbox)
    peers = tuple(
        _peer(home.resolve(), node, table, alerts.thresholds) for table in data.get("peer", ())
    )
    names = [peer.authority for peer in peers]
    if len(set(names)) != len(names):
        raise ConfigError(f"{PEERS_FILE}: a peer stands twice")
    tls = _tls(home.resolve(), data.get("tls", {}))
    _check_listener(node, tls)
    webhooks = tuple(data.get("webhooks", {}).get("allow", ()))
    for origin in webhooks:
        check_url(origin, node.sandbox)
    return Config(home.resolve(), node, peers, _policy(data), tls, alerts, webhooks=webhooks)


def peer_table(authority: str, name: str, url: str, jwks: str, mode: str) -> str:
    """The text of a ``[[peer]]`` table, to be appended to `peers.toml`."""
    values = {"authority": authority, "name": name, "url": url, "jwks": jwks, "mode": mode}
    lines = [f"{key} = {toml_text(value)}\n" for key, value in values.items() if value]
    return "\n[[peer]]\n" + "".join(lines)


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
    """An address that can be called; plain http only in the sandbox or to loopback (section 4).

    Raises:
        ConfigError: ``insecure-url``; ``bad-config`` for what is no address.
    """
    if url.startswith("http://") and not (sandbox or is_loopback(url)):
        raise ConfigError(f"{url}: production needs https", code="insecure-url")
    try:
        parts = urlsplit(url)
        good = not url or (
            bool(parts.hostname) and parts.port != 0 and "\\" not in url and url.isascii()
        )
    except ValueError:  # brackets, or a port, that are none
        good = False
    if not good:
        raise ConfigError(
            f"{url!r:.200} is no address: expected https://HOST or https://HOST:PORT, in ASCII"
        )


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


def _peer(home: Path, node: NodeSettings, table: dict[str, Any], usual: Thresholds) -> PeerSettings:
    url, mode = table.get("url", ""), table.get("mode", PUSH)
    check_url(url, node.sandbox)
    if mode == PUSH and not url:
        raise ConfigError(
            f"{PEERS_FILE}: {table['authority']} has no url: it can be pushed nothing; "
            'add url, or say mode = "pull" (it calls us) or "carry" (files)'
        )
    if table["authority"] == node.authority:
        raise ConfigError(f"{PEERS_FILE}: {node.authority} is this node and no peer of its own")
    return PeerSettings(
        authority=Authority(table["authority"]),
        name=table.get("name", table["authority"]),
        url=url.rstrip("/"),
        jwks=home / table["jwks"],
        mode=mode,
        ca=_path(home, table, "ca"),
        client_certificate=_path(home, table, "client_certificate"),
        thresholds=_thresholds(table, usual),
    )


def _alerts(table: dict[str, Any], sandbox: bool) -> AlertSettings:
    webhook = table.get("webhook", "")
    if webhook:
        check_url(webhook, sandbox)
    numbers = {
        name: table[name] for name in ("backup_days", "key_days", "disk_gib") if name in table
    }
    return AlertSettings(
        command=tuple(table.get("command", ())),
        webhook=webhook,
        thresholds=_thresholds(table, Thresholds()),
        **numbers,
    )


def _thresholds(table: dict[str, Any], usual: Thresholds) -> Thresholds:
    return Thresholds(
        table.get("silent_minutes", usual.silent_minutes),
        table.get("lag_minutes", usual.lag_minutes),
        table.get("overdue_days", usual.overdue_days),
    )


def _tls(home: Path, table: dict[str, Any]) -> TlsSettings:
    names = ("certificate", "key", "client_certificate", "client_key")
    paths = {name: _path(home, table, name) for name in names}
    return TlsSettings(**paths, minimum=table.get("minimum", "1.3"))


def _path(home: Path, table: dict[str, Any], name: str) -> Path | None:
    return home / table[name] if name in table else None


def _check_listener(node: NodeSettings, tls: TlsSettings) -> None:
    if not (node.sandbox or tls.certificate or is_loopback(f"http://{node.listen.host}")):
        raise ConfigError(
            f"{PEERS_FILE}: /node/listen: {node.listen.host} without TLS is for the sandbox; give "
            "[tls] certificate and key, or listen on localhost behind a proxy that has them",
            code="insecure-url",
        )


def _policy(data: dict[str, Any]) -> Policy:
    table = data.get("policy", {})
    least, most = (table.get(f"{end}_usd_per_carat") for end in ("least", "most"))
    if most is not None and Decimal(most) <= Decimal(least or 0):
        raise ConfigError(
            f"{PEERS_FILE}: [policy]: most_usd_per_carat {most} leaves nothing above {least or 0}"
        )
    return Policy(
        four_eyes=table.get("four_eyes", False),
        tolerance_carats=Decimal(table.get("tolerance_carats", "0")),
        tolerance_usd=Decimal(table.get("tolerance_usd", "0")),
        vigilance=tuple(Vigilance(**row) for row in data.get("vigilance", ())),
        **{
            name: Decimal(table[name])
            for name in ("least_usd_per_carat", "most_usd_per_carat")
            if name in table
        },
    )


def _endpoint(where: str, text: str) -> Endpoint:
    host, _, port = text.rpartition(":")
    if not 0 < int(port) < 65536:
        raise ConfigError(f"{PEERS_FILE}: {where}: no port {port}")
    return Endpoint(host, int(port))
