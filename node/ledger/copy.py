"""An exact copy of a ledger that is in use."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from node.ledger.database import Transaction
from node.ledger.sqlite import sqlite3

PAGES = 4096
"""Copied between two looks at the progress."""


def copy(tx: Transaction, target: Path, progress: Callable[[int, int], None]) -> None:
    """Copy the database as this transaction sees it; what others write meanwhile is not in it.

    Args:
        tx: A reading transaction; the copy is of its one consistent view.
        target: The file to make.
        progress: Called with pages done and pages in all.
    """
    tx.execute("SELECT count(*) FROM home").fetchone()  # the view begins with the first read
    with closing(sqlite3.connect(target, isolation_level=None)) as made:
        tx.backup(
            made,
            pages=PAGES,
            progress=lambda _, remaining, total: progress(total - remaining, total),
        )
        # One file, whatever the journal of the original.
        made.execute("PRAGMA journal_mode = DELETE")
