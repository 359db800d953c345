"""The node itself: ledger, log, keys, disk, backup."""

import shutil
from typing import Any

from node import __version__
from node.authority import OwnAuthority
from node.clock import iso
from node.ledger import acts, checkpoints, entries, statistics
from node.ledger.database import Transaction, sqlite_version
from node.watch.peers import days_left, stopped

BACKUP = "backup"
"""The act that a backup leaves in the audit trail."""


def system(own: OwnAuthority) -> dict[str, Any]:
    """What there is to know of a node without asking a peer."""
    folder = own.config.node.database.parent
    disk = shutil.disk_usage(folder)
    now_s = own.now_s()

    def query(tx: Transaction) -> dict[str, Any]:
        newest, saved = checkpoints.newest(tx), acts.newest(tx, BACKUP)
        return {
            "authority": own.name,
            "name": own.config.node.name,
            "sandbox": own.sandbox,
            "version": __version__,
            "sqlite": sqlite_version(),
            "time": iso(now_s),
            "ledger": {
                "entries": entries.size(tx),
                "bytes": sum(
                    file.stat().st_size
                    for file in folder.glob(f"{own.config.node.database.name}*")
                    if file.is_file() and "before" not in file.name
                ),
                "certificates": statistics.by_state(tx),
                "origin": own.checkpoints.origin,
                "checkpoint": {"size": newest.size, "at": iso(newest.signed_at)}
                if newest
                else None,
            },
            "keys": {
                "fingerprint": own.keys.fingerprint,
                "days_left": days_left(own.keys, now_s),
            },
            "disk": {"free_bytes": disk.free, "total_bytes": disk.total},
            "backup": iso(saved.at) if saved else None,
            "began": iso(_began(tx)),
        }

    return {**own.ledger.read(query), "stopped": stopped(own)}


def _began(tx: Transaction) -> int:
    first = acts.newest(tx, "init")
    return first.at if first else 0
