"""Three nodes as separate processes, driven through the command line like anyone would."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain, cycle, islice
from pathlib import Path
from typing import Any

PATIENCE_S = 30
"""How long to wait for something that usually takes a second or two."""

# Other processes look for ports too, so each begins at a place of its own.
_START = 16_384 + secrets.randbelow(16_384)
_PORTS = cycle(chain(range(_START, 32_768), range(16_384, _START)))


class DemoError(Exception):
    """Something did not go as it must."""


@dataclass(slots=True)
class DemoNode:
    """One authority's node: its home, its ports, its process."""

    authority: str
    name: str
    timezone: str
    folder: Path
    peer_port: int
    console_port: int
    process: subprocess.Popen[str] | None = field(default=None)

    @property
    def home(self) -> Path:
        """The node's home."""
        return self.folder / self.authority

    @property
    def url(self) -> str:
        """Where peers reach it."""
        return f"http://localhost:{self.peer_port}"

    @property
    def console(self) -> str:
        """Where its operator reaches it."""
        return f"http://localhost:{self.console_port}"

    @property
    def pid(self) -> int | None:
        """Its process."""
        return self.process.pid if self.process else None

    def run(self, *arguments: str, stdin: str = "") -> tuple[int, Any]:
        """Run a command on this home; returns exit code and its JSON.

        Raises:
            DemoError: It gave no JSON, or none in time.
        """
        done = subprocess.run(  # noqa: S603 - our own program
            self._command("--json", *arguments),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        try:
            return done.returncode, json.loads(done.stdout)
        except ValueError:
            raise DemoError(
                f"{self.authority}: kpnode {arguments[0]}: {done.stderr.strip()}"
            ) from None

    def expect(self, *arguments: str, stdin: str = "") -> Any:
        """Run a command that must succeed; returns its JSON."""
        code, result = self.run(*arguments, stdin=stdin)
        if code != 0:
            raise DemoError(f"{self.authority}: kpnode {arguments[0]} ended with {code}: {result}")
        return result

    def status(self) -> list[dict[str, Any]]:
        """What the running node's console says of each peer.

        Raises:
            DemoError: It does not answer.
        """
        try:
            with urllib.request.urlopen(  # noqa: S310 - loopback, our own node
                f"{self.console}/api/v1/status", timeout=10
            ) as answer:
                peers: list[dict[str, Any]] = json.load(answer)["peers"]
                return peers
        except (OSError, ValueError) as error:
            raise DemoError(f"{self.console}: {error}") from None

    def start(self) -> None:
        """Start `serve` and wait until it accepts."""
        with (self.folder / f"{self.authority}.log").open("a") as log:
            self.process = subprocess.Popen(  # noqa: S603 - our own program
                self._command("--json", "serve"), stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert self.process.stdout is not None
        if not self.process.stdout.readline():
            raise DemoError(f"{self.authority} did not start: {self.log_tail()}")

    def kill(self) -> None:
        """End the process as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End the process as an operator would."""
        self._end(signal.SIGTERM)

    def log_tail(self) -> str:
        """The last lines of its log."""
        log = self.folder / f"{self.authority}.log"
        return "\n".join(log.read_text().splitlines()[-5:]) if log.exists() else ""

    def _end(self, how: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(PATIENCE_S)
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.process = None

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "node.cli", "--home", str(self.home), *arguments]


def make_nodes(folder: Path, who: Sequence[tuple[str, str, str]]) -> list[DemoNode]:
    """Homes for authorities (code, name, time zone), each the others' peer by fingerprint."""
    ports = free_ports(2 * len(who))
    nodes = [
        DemoNode(*names, folder, ports[2 * number], ports[2 * number + 1])
        for number, names in enumerate(who)
    ]
    names = [node.authority for node in nodes]
    fingerprints = dict(zip(names, side_by_side([_init(n) for n in nodes]), strict=True))
    side_by_side([_introduce(node, nodes, fingerprints) for node in nodes])
    return nodes


def join(newcomer: DemoNode, host: DemoNode, mode: str) -> None:
    """A home for a further authority that cannot be called; it and the host become peers.

    Args:
        newcomer: The authority.
        host: A node that can be called.
        mode: ``pull`` (the newcomer calls the host) or ``carry`` (files).
    """
    mine = _init(newcomer)()
    theirs = next(i["detail"] for i in host.run("doctor")[1]["items"] if i["check"] == "keys")
    for node, other, fingerprint in ((newcomer, host, theirs), (host, newcomer, mine)):
        url = ["--url", other.url] if other is host and mode == "pull" else []
        node.expect(
            "peer", "add", other.authority, "--name", other.name, "--mode", mode, *url,
            "--jwks", str(other.home / "keys" / f"{other.authority}.jwks.json"),
            "--fingerprint", fingerprint,
        )  # fmt: skip


def side_by_side(acts: Sequence[Callable[[], Any]]) -> list[Any]:
    """Run acts beside each other; results in order."""
    with ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        return list(pool.map(lambda act: act(), acts))


def wait_for(what: str, condition: Callable[[], bool]) -> None:
    """Wait until a condition holds.

    Raises:
        DemoError: It did not within `PATIENCE_S`.
    """
    until = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > until:
            raise DemoError(f"waited {PATIENCE_S} s for {what}")
        time.sleep(0.1)


def _init(node: DemoNode) -> Callable[[], str]:
    def act() -> str:
        made = node.expect(
            "init", str(node.home), "--authority", node.authority, "--name", node.name,
            "--url", node.url, "--console", f"localhost:{node.console_port}",
            "--timezone", node.timezone, "--sandbox",
        )  # fmt: skip
        return str(made["fingerprint"])

    return act


def _introduce(
    node: DemoNode, nodes: Sequence[DemoNode], fingerprints: dict[str, str]
) -> Callable[[], None]:
    def act() -> None:
        for other in nodes:
            if other is not node:
                node.expect(
                    "peer", "add", other.authority, "--name", other.name, "--url", other.url,
                    "--jwks", str(other.home / "keys" / f"{other.authority}.jwks.json"),
                    "--fingerprint", fingerprints[other.authority],
                )  # fmt: skip

    return act


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on now, and none that this process was given before.

    They are below those a system lends to outgoing connections (from 32,768 on Linux, higher
    elsewhere): one of those can be taken by any connection before its node listens.
    """
    return list(islice(filter(_is_free, _PORTS), count))


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("localhost", port)).close()
    except OSError:
        return False
    return True
