"""Access tokens of the authority's own systems, and the answers given to repeated requests."""

import json
from dataclasses import dataclass
from typing import Any

from node.clock import iso
from node.ledger.database import Transaction

KEPT_S = 72 * 3600
"""How long an answer is kept for its key."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it is on record: its secret's digest, never the secret.

    Attributes:
        id: Names it; stands in the token itself.
        scopes: What it may do.
        until: It ends at this second.
        last_used: To the minute, or None.
    """

    id: str
    name: str
    digest: bytes
    scopes: frozenset[str]
    made_at: int
    until: int
    revoked_at: int | None
    last_used: int | None


def as_json(one: Token, now_s: int) -> dict[str, Any]:
    """A token as it is shown: ``good``, ``ended`` or ``revoked``; never its secret or digest."""
    state = "revoked" if one.revoked_at else "ended" if now_s >= one.until else "good"
    return {
        "id": one.id,
        "name": one.name,
        "scopes": sorted(one.scopes),
        "state": state,
        "made_at": iso(one.made_at),
        "until": iso(one.until),
        "last_used": iso(one.last_used) if one.last_used else None,
    }


_SELECT = (
    "SELECT id, name, digest, scopes, made_at, until, revoked_at, last_used FROM access_tokens"
)


def add(tx: Transaction, token: Token) -> None:
    """Put a token on record."""
    tx.execute(
        "INSERT INTO access_tokens (id, name, digest, scopes, made_at, until) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        (token.id, token.name, token.digest, " ".join(sorted(token.scopes)), token.made_at,
         token.until),
    )  # fmt: skip


def by_id(tx: Transaction, token_id: str) -> Token | None:
    """One token."""
    row = tx.execute(f"{_SELECT} WHERE id = ?", (token_id,)).fetchone()
    return None if row is None else _token(row)


def listed(tx: Transaction) -> list[Token]:
    """All tokens, oldest first."""
    return [_token(row) for row in tx.execute(f"{_SELECT} ORDER BY made_at, id")]


def revoke(tx: Transaction, token_id: str, at_s: int) -> None:
    """End a token; it stays on record."""
    tx.execute(
        "UPDATE access_tokens SET revoked_at = coalesce(revoked_at, ?) WHERE id = ?",
        (at_s, token_id),
    )


def used(tx: Transaction, token_id: str, at_s: int) -> None:
    """Note that a token was used."""
    tx.execute("UPDATE access_tokens SET last_used = ? WHERE id = ?", (at_s, token_id))


def answer_given(tx: Transaction, token_id: str, key: str, at_s: int) -> tuple[bytes, Any] | None:
    """The digest of the request that a key came with before, and its answer, while it is kept."""
    row = tx.execute(
        "SELECT request, answer FROM answers_given WHERE token = ? AND key = ? AND at > ?",
        (token_id, key, at_s - KEPT_S),
    ).fetchone()
    return None if row is None else (bytes(row["request"]), json.loads(row["answer"]))


def keep_answer(
    tx: Transaction, token_id: str, key: str, request: bytes, answer: Any, at_s: int
) -> None:
    """Keep an answer in the transaction of the act itself; old ones go."""
    tx.execute("DELETE FROM answers_given WHERE at <= ?", (at_s - KEPT_S,))
    tx.execute(
        "INSERT OR REPLACE INTO answers_given (token, key, request, answer, at) "
        "VALUES (?, ?, ?, ?, ?)",
        (token_id, key, request, json.dumps(answer, ensure_ascii=False), at_s),
    )


def _token(row: Any) -> Token:
    token_id, name, digest, scopes, *rest = row
    return Token(token_id, name, bytes(digest), frozenset(scopes.split()), *rest)
