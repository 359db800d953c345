"""What the machine can do at best: plain cryptography, plain SQLite."""

import os
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlite_utils.utils import sqlite3

MESSAGE_BYTES = 1900
"""The signing input of a certificate."""


@dataclass
class Figure:
    """A figure as ratios to its limit, one a run, with the raw seconds beside it."""

    name: str
    limit: str
    aim: str
    seconds: list[float] = field(default_factory=list)
    limits: list[float] = field(default_factory=list)

    def ratios(self) -> list[float]:
        return [took / best for took, best in zip(self.seconds, self.limits, strict=True)]

    def line(self) -> str:
        ratios = self.ratios()
        return (
            f"{self.name}: {median(ratios):.2f} × {self.limit} "
            f"(spread {min(ratios):.2f} to {max(ratios):.2f}, aim {self.aim}); "
            f"median {1000 * median(self.seconds):.1f} ms, limit {1000 * median(self.limits):.1f} ms"
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name, "limit": self.limit, "aim": self.aim, "ratios": self.ratios(),
            "median": median(self.ratios()), "seconds": self.seconds, "limits": self.limits,
        }  # fmt: skip


def signatures_s(count: int) -> float:
    """Seconds for so many Ed25519 signatures on one thread."""
    key, message = Ed25519PrivateKey.generate(), os.urandom(MESSAGE_BYTES)
    began = time.perf_counter()
    for _ in range(count):
        key.sign(message)
    return time.perf_counter() - began


def commit_s(rows: int, row_bytes: int) -> float:
    """Seconds for one durable transaction (WAL, FULL) of so many rows."""
    with tempfile.TemporaryDirectory() as folder:
        db = sqlite3.connect(Path(folder) / "limit.db", isolation_level=None)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT")
        body = os.urandom(row_bytes)
        began = time.perf_counter()
        db.execute("BEGIN IMMEDIATE")
        db.executemany("INSERT INTO t (body) VALUES (?)", [(body,)] * rows)
        db.execute("COMMIT")
        took = time.perf_counter() - began
        db.close()
    return took
