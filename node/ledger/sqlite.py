"""The SQLite in use: the one that sqlite-utils takes, so that there are never two on one file.

sqlite-utils itself is loaded only where tables are made or changed: that takes as long as all that a
short command does.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sqlite3  # noqa: TID251 - its types
else:
    try:
        sqlite3 = import_module("pysqlite3")
    except ImportError:
        sqlite3 = import_module("sqlite3")

__all__ = ["append_only", "sqlite3"]


def append_only(connection: Any, table: str, *events: str) -> None:
    """Forbid UPDATE and DELETE on a table, or what is named of the two."""
    for event in events or ("UPDATE", "DELETE"):
        connection.execute(
            f"CREATE TRIGGER {table}_no_{event.lower()} BEFORE {event} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )
