"""What the machine can do at best: plain cryptography, plain SQLite."""

import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from node.jose.algorithms import verify_ed25519
from node.ledger.sqlite import sqlite3

MESSAGE_BYTES = 1900
"""The signing input of a certificate."""

ROW_BYTES = 2000
"""A certificate as it is stored."""

ROWS = 500
"""Of a transaction, for `rows_per_s`."""


@dataclass
class Figure:
    """A figure as ratios to its limit, one a run, with the raw figures beside it.

    Attributes:
        name: What was measured.
        limit: What it is held against, measured in the same run, before and after it.
        done, goal: The ratios aimed at, in words.
        unit: Of both raw figures.
    """

    name: str
    limit: str
    done: str
    goal: str
    unit: str
    raw: list[float] = field(default_factory=list)
    limits: list[float] = field(default_factory=list)

    def add(self, raw: float, before: float, after: float) -> None:
        """A run."""
        self.raw.append(raw)
        self.limits.append((before + after) / 2)

    def ratios(self) -> list[float]:
        return [raw / limit for raw, limit in zip(self.raw, self.limits, strict=True)]

    def row(self) -> str:
        ratios = self.ratios()
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        return (
            f"| {self.name} | {median(ratios):.2f} × {self.limit} | {spread} | {self.done} "
            f"| {self.goal} | {median(self.raw):,.0f} {self.unit} | {median(self.limits):,.0f} |"
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name, "limit": self.limit, "done": self.done, "goal": self.goal,
            "unit": self.unit, "ratios": self.ratios(), "median": median(self.ratios()),
            "raw": self.raw, "limits": self.limits,
        }  # fmt: skip


HEADER = "| figure | median | spread | done at | goal | measured | limit |\n|---|---|---|---|---|---|---|"


def verifications_per_s(threads: int, count: int = 3000) -> float:
    """Raw Ed25519 verifications a second by OpenSSL, on one thread or several: V1, V2."""
    key, message = Ed25519PrivateKey.generate(), os.urandom(MESSAGE_BYTES)
    public, signature = key.public_key(), key.sign(message)
    return _a_second(lambda: public.verify(signature, message), threads, count)


def by_libsodium_per_s(threads: int, count: int = 3000) -> float:
    """The same by libsodium, which is what a node uses."""
    key, message = Ed25519PrivateKey.generate(), os.urandom(MESSAGE_BYTES)
    public, signature = key.public_key().public_bytes_raw(), key.sign(message)
    return _a_second(lambda: verify_ed25519(public, message, signature), threads, count)


def _a_second(verify: Callable[[], object], threads: int, count: int) -> float:
    def work(_: int) -> None:
        for _ in range(count):
            verify()

    with ThreadPoolExecutor(threads) as pool:
        began = time.perf_counter()
        list(pool.map(work, range(threads)))
        return threads * count / (time.perf_counter() - began)


def signatures_per_s(count: int = 3000) -> float:
    """Ed25519 signatures a second on one thread."""
    key, message = Ed25519PrivateKey.generate(), os.urandom(MESSAGE_BYTES)
    began = time.perf_counter()
    for _ in range(count):
        key.sign(message)
    return count / (time.perf_counter() - began)


def rows_per_s(transactions: int = 20, rows: int = ROWS) -> float:
    """Durable rows a second (WAL, FULL), so many a transaction: S."""
    with tempfile.TemporaryDirectory() as folder:
        db = sqlite3.connect(Path(folder) / "limit.db", isolation_level=None)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT")
        body = os.urandom(ROW_BYTES)
        began = time.perf_counter()
        for _ in range(transactions):
            db.execute("BEGIN IMMEDIATE")
            db.executemany("INSERT INTO t (body) VALUES (?)", [(body,)] * rows)
            db.execute("COMMIT")
        took = time.perf_counter() - began
        db.close()
    return transactions * rows / took


def exchange_s() -> float:
    """The least one exchange can take: 3 durable commits, 5 verifications, 5 signatures: L."""
    commit_s = ROWS / rows_per_s(transactions=20, rows=1) / ROWS
    return 3 * commit_s + 5 / verifications_per_s(1, 500) + 5 / signatures_per_s(500)
