"""What `deploy/` has is read by the programs it is for, as far as this machine has them."""

import json
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from node.demo.nodes import free_ports
from tests.shared import lacking
from tests.test_watch import fetch, issued, serving, until

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        lacking(f"no {name} on this machine")
    assert found is not None
    return found


def ran(*command: str | Path) -> str:
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_unit_is_one_that_systemd_reads(tmp_path: Path) -> None:
    analyse = program("systemd-analyze")
    text = (DEPLOY / "kpnode.service").read_text("utf-8")
    unit = tmp_path / "kpnode.service"
    unit.write_text(text.replace("/opt/kpnode/bin/kpnode", sys.executable), "utf-8")

    told = ran(analyse, "verify", "--man=no", unit)
    assert "kpnode.service" not in told, told

    exposure = ran(analyse, "security", "--offline=true", unit)
    level = re.search(r"Overall exposure level for kpnode.service: ([0-9.]+)", exposure)
    assert level, exposure
    assert float(level[1]) < 2.0


def test_a_supervisor_is_told(
    homes: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(address)
        channel.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        with serving(homes["RU"]):
            assert channel.recv(100) == b"READY=1"
            assert channel.recv(100) == b"WATCHDOG=1"
        told = b""
        while told != b"STOPPING=1":
            told = channel.recv(100)


def test_the_site_of_nginx_is_the_one_that_is_tested() -> None:
    text = (ROOT / "docs" / "operations.md").read_text("utf-8")
    block = re.search(r"```nginx\n(.*?)```", text, re.DOTALL)
    assert block

    assert (DEPLOY / "nginx.conf").read_text("utf-8").endswith(block[1])


def test_rules_and_settings_are_ones_that_prometheus_reads() -> None:
    promtool = program("promtool")

    assert "SUCCESS" in ran(promtool, "check", "rules", DEPLOY / "alerts.yml")
    assert "SUCCESS" in ran(promtool, "check", "config", DEPLOY / "prometheus.yml")


def test_a_real_prometheus_scrapes_a_node_and_fires_its_alert(
    homes: dict[str, Path], tmp_path: Path
) -> None:
    prometheus, promtool = program("prometheus"), program("promtool")
    (port,) = free_ports(1)
    issued(homes["RU"])
    with serving(homes["RU"]) as console:
        metrics = fetch(f"{console}/metrics")[1]
        linted = subprocess.run(
            [promtool, "check", "metrics"],
            input=metrics,
            capture_output=True,
            text=True,
            check=False,
        )
        assert linted.returncode == 0, linted.stdout + linted.stderr
        text = (DEPLOY / "prometheus.yml").read_text("utf-8")
        text = text.replace("localhost:8111", console.removeprefix("http://"))
        (tmp_path / "prometheus.yml").write_text(text.replace("30s", "1s"), "utf-8")
        rules = (DEPLOY / "alerts.yml").read_text("utf-8")
        waits = rules.replace("4 * 3600", "0")  # a document that has waited at all, for the test
        (tmp_path / "alerts.yml").write_text(waits, "utf-8")
        with (tmp_path / "log").open("w") as log:
            process = subprocess.Popen(
                [prometheus, f"--config.file={tmp_path}/prometheus.yml",
                 f"--storage.tsdb.path={tmp_path}/tsdb", f"--web.listen-address=127.0.0.1:{port}"],
                stdout=log, stderr=log,
            )  # fmt: skip
        try:
            until(lambda: _value(port, "kpnode_ready"), "1")
            assert _value(port, 'kpnode_peer_state{peer="EU-BE",state="silent"}') == "1"
            dashboard = json.loads((DEPLOY / "grafana.json").read_text("utf-8"))
            for panel in dashboard["panels"]:
                for target in panel["targets"]:
                    assert _query(port, target["expr"])["status"] == "success"
            until(lambda: "KpDocumentsWait" in _firing(port), True)
        finally:
            process.terminate()
            process.wait(30)


def _query(port: int, expr: str) -> Any:
    asked = urllib.request.quote(expr)  # type: ignore[attr-defined]
    try:
        with urllib.request.urlopen(
            f"http://127.0.0.1:{port}/api/v1/query?query={asked}"
        ) as answer:
            return json.load(answer)
    except OSError:
        time.sleep(0.2)
        return {"data": {"result": []}}


def _value(port: int, expr: str) -> str | None:
    found = _query(port, expr)["data"]["result"]
    return found[0]["value"][1] if found else None


def _firing(port: int) -> set[str]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/alerts") as answer:
        alerts = json.load(answer)["data"]["alerts"]
    return {a["labels"]["alertname"] for a in alerts if a["state"] == "firing"}


def test_the_image_copies_what_is_there() -> None:
    text = (DEPLOY / "Dockerfile").read_text("utf-8")

    for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE):
        for name in line.split()[:-1]:
            assert (ROOT / name).exists(), name
    assert re.search(r"^USER \d+$", text, re.MULTILINE)
    assert "--require-hashes" in text
