"""`/metrics` for Prometheus: the same facts as status, as numbers."""

import asyncio
from collections.abc import Iterator
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from node.authority import OwnAuthority
from node.clock import at
from node.ledger import statistics
from node.ledger.database import Transaction
from node.watch.peers import STATES, status
from node.watch.system import system
from node.web import problems


def routes(own: OwnAuthority) -> list[web.RouteDef]:
    """The route."""
    registry = CollectorRegistry()
    registry.register(_Facts(own))

    async def metrics(_: web.Request) -> web.Response:
        body = await asyncio.to_thread(generate_latest, registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    return [web.get("/metrics", metrics)]


class _Facts:
    """Reads the ledger at each scrape: what is counted survives restarts with it."""

    def __init__(self, own: OwnAuthority) -> None:
        self._own = own

    def describe(self) -> list[Metric]:
        return []  # else registering would read the ledger

    def collect(self) -> Iterator[Metric]:
        told = status(self._own)
        yield from _of_peers(told["peers"])
        yield from _of_node(self._own)
        alerts = GaugeMetricFamily("kpnode_alert", "An open alert", labels=["code", "subject"])
        for alert in told["alerts"]:
            alerts.add_metric([alert["code"], alert["subject"]], 1)
        yield alerts
        yield from self._own.ledger.read(lambda tx: list(_counts(tx)))
        refused = CounterMetricFamily(
            "kpnode_refused_requests", "Requests of peers refused since the start", labels=["code"]
        )
        for code, count in problems.REFUSED.items():
            refused.add_metric([code], count)
        yield refused


def _of_peers(rows: list[dict[str, Any]]) -> Iterator[Metric]:
    def gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
        return GaugeMetricFamily(f"kpnode_peer_{name}", text, labels=["peer", *labels])

    state = gauge("state", "1 for the word that says how the exchange stands", "state")
    lag = gauge("lag_documents", "Documents that wait", "direction")
    oldest = gauge("oldest_waiting_seconds", "Age of the oldest document that waits for the peer")
    contact = gauge("last_contact_timestamp_seconds", "Last contact", "direction")
    attempts = gauge("failed_attempts", "Failures in a row")
    clock = gauge("clock_ahead_seconds", "By how much the peer's clock is ahead")
    days = gauge("key_days_left", "Days until the peer's keys end")
    incidents = gauge("open_incidents", "Incidents that wait for an operator")
    unresolved = gauge("quarantine_unresolved", "Refused documents nobody has looked at")
    for row in rows:
        peer = row["authority"]
        for word in STATES:
            state.add_metric([peer, word], float(row["state"] == word))
        lag.add_metric([peer, "out"], row["out"]["lag"])
        lag.add_metric([peer, "in"], row["in"]["lag"])
        oldest.add_metric([peer], row["out"]["oldest_s"])
        for way, moment in row["contact"].items():
            if moment:
                contact.add_metric([peer, way], at(moment))
        attempts.add_metric([peer], row["failures"])
        if row["clock_s"] is not None:
            clock.add_metric([peer], row["clock_s"])
        if row["key_set"]["days_left"] is not None:
            days.add_metric([peer], row["key_set"]["days_left"])
        incidents.add_metric([peer], len(row["incidents"]))
        unresolved.add_metric([peer], row["unresolved"])
    yield from (
        state, lag, oldest, contact, attempts, clock, days, incidents, unresolved,
    )  # fmt: skip


def _of_node(own: OwnAuthority) -> Iterator[Metric]:
    node = system(own)

    def gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
        return GaugeMetricFamily(f"kpnode_{name}", text, value=value)

    info = GaugeMetricFamily(
        "kpnode_info", "Who this is", labels=["authority", "version", "sqlite", "sandbox"]
    )
    info.add_metric([own.name, node["version"], node["sqlite"], str(own.sandbox).lower()], 1)
    yield info
    yield gauge("ready", "1 while this node may sign", float(node["stopped"] is None))
    yield gauge("ledger_entries", "Entries of the log", node["ledger"]["entries"])
    yield gauge("ledger_bytes", "Size of the database's files", node["ledger"]["bytes"])
    yield gauge("disk_free_bytes", "Free on the disk of the ledger", node["disk"]["free_bytes"])
    if node["ledger"]["checkpoint"]:
        signed_at = at(node["ledger"]["checkpoint"]["at"])
        yield gauge(
            "checkpoint_timestamp_seconds", "When the newest checkpoint was signed", signed_at
        )
    if node["backup"]:
        yield gauge("backup_timestamp_seconds", "When the last backup was made", at(node["backup"]))
    if node["keys"]["days_left"] is not None:
        yield gauge("key_days_left", "Days until this node's keys end", node["keys"]["days_left"])
    held = GaugeMetricFamily(
        "kpnode_certificates", "Certificates by side and state", labels=["side", "state"]
    )
    for side, states in node["ledger"]["certificates"].items():
        for state, count in states.items():
            held.add_metric([side, state], count)
    yield held


def _counts(tx: Transaction) -> Iterator[Metric]:
    outcomes = CounterMetricFamily(
        "kpnode_outcomes", "Documents by what the peer's receipts said", labels=["peer", "outcome"]
    )
    for labels, count in statistics.outcomes(tx).items():
        outcomes.add_metric(list(labels), count)
    yield outcomes
    refused = GaugeMetricFamily(
        "kpnode_quarantine", "Refused documents by first code", labels=["peer", "code"]
    )
    for labels, count in statistics.refused(tx).items():
        refused.add_metric(list(labels), count)
    yield refused
    latency = GaugeMetricFamily(
        "kpnode_delivery_seconds", "From question to receipt, of the last 100", labels=["peer", "q"]
    )
    for peer, median, p95 in statistics.latencies(tx):
        latency.add_metric([peer, "0.5"], median)
        latency.add_metric([peer, "0.95"], p95)
    yield latency
