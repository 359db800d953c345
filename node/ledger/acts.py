"""The audit trail: every write by a person."""

import getpass
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache

from node.ledger.database import Transaction


@dataclass(frozen=True, slots=True)
class Act:
    """Who did what to what, and when. `account` is the operating system's user, or a token."""

    at: int
    verb: str
    subject: str
    office: str | None
    officer: str | None
    account: str


def note(
    tx: Transaction, at_s: int, verb: str, subject: str, office: str | None = None,
    officer: str | None = None,
) -> None:  # fmt: skip
    """Write an act into the trail, in the transaction of the act itself."""
    note_each(tx, at_s, verb, [subject], office, officer)


def note_each(
    tx: Transaction, at_s: int, verb: str, subjects: Iterable[str], office: str | None,
    officer: str | None,
) -> None:  # fmt: skip
    """As `note`, for an act on several subjects."""
    acting = _acting.get() or _Acting()
    account = acting.account or _account()
    office, officer = office or acting.office, officer or acting.officer
    tx.executemany(
        "INSERT INTO acts (at, verb, subject, office, officer, account) VALUES (?, ?, ?, ?, ?, ?)",
        [(at_s, verb, subject, office, officer, account) for subject in subjects],
    )


def newest(tx: Transaction, verb: str) -> Act | None:
    """The last act of a kind."""
    row = tx.execute(
        "SELECT at, verb, subject, office, officer, account FROM acts WHERE verb = ? "
        "ORDER BY id DESC LIMIT 1",
        (verb,),
    ).fetchone()
    return None if row is None else Act(*row)


def listed(tx: Transaction, subject: str) -> list[Act]:
    """The acts on a subject, oldest first."""
    rows = tx.execute(
        "SELECT at, verb, subject, office, officer, account FROM acts WHERE subject = ? ORDER BY id",
        (subject,),
    )
    return [Act(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class _Acting:
    account: str = ""
    office: str | None = None
    officer: str | None = None


_acting: ContextVar[_Acting | None] = ContextVar("acting", default=None)


@contextmanager
def on_account_of(
    account: str, office: str | None = None, officer: str | None = None
) -> Iterator[None]:
    """Acts noted within are on this account, and in these names where they say no others."""
    before = _acting.set(_Acting(account, office, officer))
    try:
        yield
    finally:
        _acting.reset(before)


@cache
def _account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
