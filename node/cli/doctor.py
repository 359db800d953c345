"""`kpnode doctor`: what is wrong, and how to mend it."""

import sys
from collections.abc import Iterator
from typing import Any

from node.cli.output import FAILURE, Output, command

MIN_FREE_BYTES = 1024**3


@command()
def doctor(output: Output) -> None:
    """Check clock, SQLite, keys, disk and peers, and say how to mend what is wrong."""
    items = list(_checks(output))
    columns = {"state": "", "check": "CHECK", "detail": "FOUND", "mend": "MEND"}
    output.rows({"items": items, "next": None}, items, columns)
    if any(item["state"] == "fail" for item in items):
        sys.exit(FAILURE)


def _checks(output: Output) -> Iterator[dict[str, Any]]:
    from node.errors import NodeError
    from node.ledger.database import SAFE_VERSION, sqlite_version
    from node.wiring import open_node, read_config

    version = sqlite_version()
    safe = tuple(map(int, version.split("."))) >= SAFE_VERSION
    yield _item(
        "SQLite", "ok" if safe else "warn", version,
        "" if safe else "install pysqlite3, or SQLite 3.51.3 or later; until then it is slower",
    )  # fmt: skip
    try:
        config = read_config(output.home)
    except NodeError as error:
        yield _item("peers.toml", "fail", str(error), "mend the file, then ask again")
        return
    yield _item("peers.toml", "ok", f"{config.node.authority}, peers: {len(config.peers)}")
    yield _disk(config)
    try:
        with open_node(output.home) as own:
            yield _keys(own)
            for check in (_database, _log, _peers):
                try:
                    yield from check(own)
                except NodeError as error:
                    yield _item(error.code, "fail", str(error), _MEND.get(error.code, ""))
    except NodeError as error:
        yield _item(error.code, "fail", str(error), _MEND.get(error.code, "see the text"))


_MEND = {
    "no-database": "bring the database back, or make a new home with kpnode init",
    "bad-database": "stop the node and restore a backup",
    "ledger-unavailable": "free space, mend the disk or who may write there, end what holds the file",
    "no-access": "run kpnode as the user that the home belongs to",
    "keys-missing": "bring the key files back from where they are kept",
    "key-permissions": "run the command in the text",
    "bad-key-file": "bring the key files back from where they are kept",
    "wrong-home": "put the former authority and sandbox back into peers.toml",
}


def _item(check: str, state: str, detail: str, mend: str = "") -> dict[str, Any]:
    return {"check": check, "state": state, "detail": detail, "mend": mend}


def _disk(config: Any) -> dict[str, Any]:
    import shutil

    folder = config.node.database.parent
    free = shutil.disk_usage(folder if folder.exists() else config.home).free
    state = "ok" if free >= MIN_FREE_BYTES else "warn"
    mend = "" if state == "ok" else "free some space before the node must stop"
    return _item("disk", state, f"{free / 1024**3:.1f} GiB free", mend)


def _keys(own: Any) -> dict[str, Any]:
    from node.watch.peers import days_left

    left = days_left(own.keys, own.now_s())
    if left is None or left >= own.config.alerts.key_days:
        return _item("keys", "ok", own.keys.fingerprint)
    return _item(
        "keys", "warn", f"they end in {left} days", "kpnode keys renew, and tell the peers"
    )


def _database(own: Any) -> Iterator[dict[str, Any]]:
    from node.ledger.audit import quick_check

    problem = own.ledger.read(quick_check)
    if problem is None:
        yield _item("database", "ok", "pages and indexes sound")
    else:
        yield _item("database", "fail", problem, "stop the node and restore a backup")


def _log(own: Any) -> Iterator[dict[str, Any]]:
    from node.errors import LogBehindError
    from node.ledger import entries

    try:
        own.ledger.read(own.checkpoints.guard)
    except LogBehindError as error:
        yield _item(
            "log",
            "fail",
            str(error),
            "bring the newest database back; if it is lost: kpnode ledger resume",
        )
        return
    yield _item(
        "log", "ok", f"{own.ledger.read(entries.size)} entries; for all of it: kpnode ledger verify"
    )


def _peers(own: Any) -> Iterator[dict[str, Any]]:
    import asyncio

    for authority, reason in own.book.stopped.items():
        yield _item(f"peer {authority}", "fail", reason, "call its officials, compare fingerprints")
    yield from asyncio.run(_probe_all(own))


async def _probe_all(own: Any) -> list[dict[str, Any]]:
    import asyncio

    from node.exchange.probe import probe

    called = [peer for peer in own.book.ring if own.book.settings[peer].called]
    walked = await asyncio.gather(*(probe(own, peer) for peer in called))
    return [_as_item(peer, steps) for peer, steps in zip(called, walked, strict=True)]


def _as_item(peer: str, steps: Any) -> dict[str, Any]:
    failed = next((step for step in steps if not step.good), None)
    if failed is None:
        return _item(f"peer {peer}", "ok", "; ".join(f"{s.name}: {s.found}" for s in steps[-2:]))
    return _item(f"peer {peer}", "warn", f"{failed.name}: {failed.found}", failed.mend)
