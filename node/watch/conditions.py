"""Conditions that an operator is told of: when they hold, for how long, what they mean.

A condition opens an alert once it has held for a while, and the alert ends by itself once the
condition has not held for a while: what comes and goes every minute is one alert, not many.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from node.authority import OwnAuthority
from node.clock import at, iso
from node.ledger import alerts
from node.ledger.alerts import Alert
from node.ledger.database import Transaction
from node.watch import worklists
from node.watch.peers import DAY_S, status
from node.watch.system import system

CLOCK_OFF_S = 30
GIB = 1024**3


@dataclass(frozen=True, slots=True)
class Condition:
    """What an alert means, what to do, and how steady it must be.

    Attributes:
        opens_s: It must have held for so long.
        closes_s: It must not have held for so long.
    """

    means: str
    do: str
    opens_s: int = 0
    closes_s: int = 60


CONDITIONS: dict[str, Condition] = {
    "node-stopped": Condition(
        "this node may sign nothing: its ledger is behind what it has let out",
        "read the text of kpnode status; bring the newest database back, or kpnode ledger resume",
        closes_s=0,
    ),
    "incident": Condition(
        "something happened with a peer that an operator must look at",
        "kpnode peer show PEER says what it means and what ends it", closes_s=0,
    ),
    "peer-refuses": Condition(
        "a peer answers, but takes nothing from this node",
        "kpnode peer probe PEER, then call its operator", opens_s=120,
    ),
    "peer-silent": Condition(
        "nothing has come through in one direction for too long", "kpnode peer probe PEER",
        opens_s=120,  # after a start, the first calls are on their way
    ),
    "lag-old": Condition(
        "a document waits for its peer for too long",
        "kpnode peer show PEER: the last attempts say why",
    ),
    "quarantine": Condition(
        "documents of a peer were refused here and nobody has looked at them",
        "kpnode peer show PEER, tell its operator; then kpnode peer resume PEER --because TEXT",
        closes_s=0,
    ),
    "clock-off": Condition(
        "the clocks of the two nodes differ; beyond 120 s nothing is accepted",
        "set both clocks by NTP", opens_s=60,
    ),
    "key-ending": Condition(
        "a key set, this node's or a peer's, soon has no key in use any more",
        "kpnode keys renew in time, and tell the peers; for a peer's: kpnode peer renew",
    ),
    "inquiry-late": Condition(
        "a peer has asked something and the day it wanted an answer by is past",
        "kpnode work inquiries, and have an officer answer", closes_s=0,
    ),
    "disk-low": Condition("little space is left on the disk", "free some space", closes_s=300),
    "backup-old": Condition(
        "there is no backup, or the last one is old", "kpnode backup FILE, onto another disk",
        closes_s=0,
    ),
}  # fmt: skip
"""By code; `docs/operations.md` tells the same and a test compares them."""


class Found(NamedTuple):
    """A condition that holds now."""

    code: str
    subject: str
    detail: str


def holding(own: OwnAuthority) -> list[Found]:
    """All conditions that hold at this moment."""
    told, node = status(own), system(own)
    found = list(_of_node(own, node))
    for peer in told["peers"]:
        found += _of_peer(own, peer)
    return [*found, *_late_answers(own)]


def _late_answers(own: OwnAuthority) -> Iterator[Found]:
    late = [item for item in worklists.read(own, "inquiries") if _is_late(own, item)]
    for peer in sorted({item["peer"] for item in late}):
        numbers = [item["number"] for item in late if item["peer"] == peer]
        more = f" and {len(numbers) - 1} more" if len(numbers) > 1 else ""
        yield Found("inquiry-late", peer, f"it asks about {numbers[0]}{more}")


def _is_late(own: OwnAuthority, item: dict[str, Any]) -> bool:
    return bool(item["turn"] == own.name and item["days"] > 0)


def _of_node(own: OwnAuthority, node: dict[str, Any]) -> Iterator[Found]:
    limits, now_s = own.config.alerts, own.now_s()
    if node["stopped"]:
        yield Found("node-stopped", "", node["stopped"])
    free = node["disk"]["free_bytes"] / GIB
    if free < limits.disk_gib:
        yield Found("disk-low", "", f"{free:.1f} GiB left")
    if (left := node["keys"]["days_left"]) is not None and left < limits.key_days:
        yield Found("key-ending", "", f"this node's keys end in {left} days")
    age_s = now_s - at(node["backup"] or node["began"])
    if age_s > limits.backup_days * DAY_S and node["ledger"]["entries"]:
        days = age_s // DAY_S
        ago = f"the last one is {days} days old"
        yield Found("backup-old", "", ago if node["backup"] else f"none was made in {days} days")


def _of_peer(own: OwnAuthority, peer: dict[str, Any]) -> Iterator[Found]:
    name, limits = peer["authority"], own.config.thresholds(peer["authority"])
    for incident in peer["incidents"][:1]:
        yield Found("incident", name, f"{incident['code']}: {incident['detail']}")
    if not peer["incidents"] and peer["key_set"]["changed"]:
        yield Found("incident", name, peer["last_error"])
    if peer["state"] == "refused":
        yield Found("peer-refuses", name, peer["last_error"])
    # A peer whose operators are still setting up is silent, too; nobody is to be called for it.
    set_up = own.now_s() - at(peer["pinned_at"] or iso(0)) > limits.silent_minutes * 60
    if peer["silent"] and set_up and not peer["paused"]:
        ways = " and ".join("to it" if way == "out" else "from it" for way in peer["silent"])
        yield Found("peer-silent", name, f"nothing {ways} for {limits.silent_minutes} minutes")
    waits_min = peer["out"]["oldest_s"] // 60
    if peer["out"]["lag"] and waits_min >= limits.lag_minutes and not peer["paused"]:
        detail = f"{peer['out']['lag']} documents wait, the oldest for {waits_min} minutes"
        yield Found("lag-old", name, detail)
    if peer["unresolved"]:
        yield Found("quarantine", name, f"{peer['unresolved']} documents refused here")
    if abs(peer["clock_s"] or 0) > CLOCK_OFF_S:
        way = "ahead" if peer["clock_s"] > 0 else "behind"
        yield Found("clock-off", name, f"its clock is {abs(peer['clock_s'])} s {way}")
    left = peer["key_set"]["days_left"]
    if left is not None and left < own.config.alerts.key_days:
        yield Found("key-ending", name, f"its keys end in {left} days")


class Changed(NamedTuple):
    """Alerts that have just begun, and those that have just ended."""

    began: list[Alert]
    ended: list[Alert]


def look(own: OwnAuthority) -> Changed:
    """Hold the conditions against what is on record, and write down what has changed."""
    found = {(one.code, one.subject): one for one in holding(own)}
    now_s = own.now_s()
    before = {(one.code, one.subject): one for one in own.ledger.read(alerts.standing)}
    after = {
        key: after
        for key in found.keys() | before.keys()
        if (after := _next(before.get(key), found.get(key), now_s)) is not None
    }
    if after != before:
        own.ledger.write(lambda tx: _write(tx, before, after))
    began = [
        one for key, one in after.items()
        if one.opened_at is not None and (key not in before or before[key].opened_at is None)
    ]  # fmt: skip
    ended = [one for key, one in before.items() if key not in after and one.opened_at is not None]
    return Changed(began, ended)


def _next(before: Alert | None, found: Found | None, now_s: int) -> Alert | None:
    """How a condition stands after a look; None if it is over or never was."""
    if found is not None:
        alert = before or Alert(found.code, found.subject, found.detail, now_s, None, None)
        steady = now_s - alert.since >= CONDITIONS[alert.code].opens_s
        opened = alert.opened_at or (now_s if steady else None)
        return replace(alert, detail=found.detail, opened_at=opened, better_since=None)
    assert before is not None
    condition = CONDITIONS.get(before.code)
    if condition is None or before.opened_at is None:
        return None
    better = before.better_since or now_s
    return replace(before, better_since=better) if now_s - better < condition.closes_s else None


def _write(
    tx: Transaction, before: dict[tuple[str, str], Alert], after: dict[tuple[str, str], Alert]
) -> None:
    for key, alert in before.items():
        if key not in after:
            alerts.drop(tx, alert)
    for key, alert in after.items():
        if before.get(key) != alert:
            alerts.keep(tx, alert)
