"""The third act: an authority with e-mail only, one without a public address, and a rewritten log."""

import json
import shutil
import time
from pathlib import Path
from typing import Any

from node.demo.nodes import DemoNode, free_ports, join, wait_for

CARRIED = ("AO", "Ministry of Mineral Resources, Oil and Gas (sample)", "Africa/Luanda")
PULLING = ("CD", "Centre for Evaluation, Expertise and Certification (sample)", "Africa/Kinshasa")


def newcomer(who: tuple[str, str, str], host: DemoNode, mode: str) -> DemoNode:
    """A further authority on this machine, joined to a host."""
    peer_port, console_port = free_ports(2)
    node = DemoNode(*who, host.folder, peer_port, console_port)
    join(node, host, mode)
    return node


def carry(host: DemoNode, other: DemoNode, shipment: dict[str, Any]) -> dict[str, Any]:
    """One certificate there and its confirmation back, by files alone; returns how it ended."""
    number = _issue(host, shipment, other.authority, 1)
    _post(host, other)
    other.expect("confirm", number, "--office", other.name)
    _post(other, host)
    return _ends(number, host, other)


def pull(host: DemoNode, other: DemoNode, shipment: dict[str, Any]) -> dict[str, Any]:
    """One certificate there and its confirmation back; only the other side ever calls.

    Its node is started once something waits for it, and ended again.
    """
    number = _issue(host, shipment, other.authority, 2)
    other.start()
    try:
        return _fetched(number, host, other)
    finally:
        other.stop()


def _fetched(number: str, host: DemoNode, other: DemoNode) -> dict[str, Any]:
    wait_for(f"{other.authority} to fetch {number}", lambda: bool(_held(other, number)))
    other.expect("confirm", number, "--office", other.name)
    wait_for("its confirmation", lambda: _held(host, number) == "confirmed")
    return _ends(number, host, other)


def rewrite(host: DemoNode, other: DemoNode, shipment: dict[str, Any]) -> dict[str, Any]:
    """The other side puts an old copy of its home back and issues something else in its place.

    Files are all that passes between the two, so nobody warns it. Returns what the host says.
    """
    before = other.folder / "before"
    shutil.copytree(other.home, before)
    own = shipment | {
        "from": other.authority, "to": host.authority, "provenance": other.authority,
        "destination": host.authority, "mining_origins": [other.authority],
    }  # fmt: skip
    _issue(other, own, host.authority, 3)
    host.expect("bundle", "import", str(_export(other, host)))
    shutil.rmtree(other.home)
    before.rename(other.home)
    _issue(other, own, host.authority, 4)
    code, refused = host.run("bundle", "import", str(_export(other, host)))
    shown = host.expect("peer", "show", other.authority)
    (incident,) = shown["incidents"]
    return {
        "exit_code": code,
        "code": refused["problem"]["code"],
        "detail": incident["detail"],
        "means": incident["means"],
        "mend": incident["mend"],
        "evidence": sorted(incident["evidence"]),
    }


def _issue(node: DemoNode, template: dict[str, Any], to: str, serial: int) -> str:
    number = f"{node.authority}{99990000 + serial}"
    own = {"number": number, "to": to, "destination": to}
    node.expect("issue", "-", "--office", node.name, stdin=json.dumps(template | own))
    return number


def _export(node: DemoNode, peer: DemoNode) -> Path:
    path = node.folder / f"{node.authority}-to-{peer.authority}-{time.monotonic_ns()}.kpb"
    node.expect("bundle", "export", "--peer", peer.authority, str(path))
    return path


def _post(sender: DemoNode, receiver: DemoNode) -> None:
    """A file there, its receipt back."""
    taken = receiver.expect("bundle", "import", str(_export(sender, receiver)))
    sender.expect("bundle", "import", taken["receipt"])


def _held(node: DemoNode, number: str) -> str | None:
    code, answer = node.run("certificate", "show", number)
    return str(answer["state"]) if code == 0 else None


def _ends(number: str, host: DemoNode, other: DemoNode) -> dict[str, Any]:
    return {"number": number, "exporter": _held(host, number), "importer": _held(other, number)}
