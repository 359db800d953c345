"""Tokens by which the authority's own systems act: made, checked, revoked.

A token is ``kpn_<id>_<secret>``; the secret has 256 random bits, so its plain SHA-256 is kept.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import replace

from node import base64url
from node.authority import OwnAuthority
from node.errors import ConfigError, NodeError, NotFoundError
from node.ledger import access, acts
from node.ledger.access import Token
from node.ledger.database import Transaction

SCOPES = {
    "read": "see everything that is held",
    "issue": "what an exporting authority does",
    "confirm": "what an importing authority does",
    "operate": "what an operator does: peers, files, the log, tokens, webhooks",
}
"""What a token may do, by the word that is asked for."""

MAX_DAYS = 3650
USED_EVERY_S = 60
_FORM = re.compile(r"kpn_([a-z0-9]{8})_([A-Za-z0-9_-]{43})")


class NoAccessError(NodeError):
    """The token is none, has ended, or does not reach so far."""

    code = "unauthorized"


def make(own: OwnAuthority, name: str, scopes: set[str], days: int) -> tuple[Token, str]:
    """Make a token; its text is shown once and kept nowhere.

    Args:
        own: Whose node it opens.
        name: For people, and for the audit trail.
        scopes: Of `SCOPES`.
        days: It ends after so many.

    Raises:
        ConfigError: ``bad-token``: the name is no text, a scope is none, or the days are too many.
    """
    if not scopes or scopes - SCOPES.keys():
        raise ConfigError(f"scopes: expected some of {', '.join(SCOPES)}", code="bad-token")
    if not name.isprintable() or not 0 < len(name.strip()) == len(name) <= 100:
        raise ConfigError("name: expected 1 to 100 printable characters", code="bad-token")
    if not 1 <= days <= MAX_DAYS:
        raise ConfigError(f"days: expected 1 to {MAX_DAYS}", code="bad-token")
    secret, now_s = base64url.encode(secrets.token_bytes(32)), own.now_s()
    token_id = "".join(secrets.choice("abcdefghijkmnpqrstuvwxyz23456789") for _ in range(8))
    token = Token(
        token_id, name, _digest(secret), frozenset(scopes), now_s, now_s + days * 86400, None, None
    )

    def write(tx: Transaction) -> None:
        access.add(tx, token)
        acts.note(tx, now_s, "token make", f"{token_id} {name}: {' '.join(sorted(scopes))}")

    own.ledger.write(write)
    return token, f"kpn_{token_id}_{secret}"


def revoke(own: OwnAuthority, token_id: str) -> Token:
    """End a token at once.

    Raises:
        NotFoundError: There is none of this id.
    """

    def write(tx: Transaction) -> Token:
        found = access.by_id(tx, token_id)
        if found is None:
            raise NotFoundError(f"no token {token_id}; see kpnode token list")
        access.revoke(tx, token_id, own.now_s())
        acts.note(tx, own.now_s(), "token revoke", f"{token_id} {found.name}")
        return replace(found, revoked_at=found.revoked_at or own.now_s())

    return own.ledger.write(write)


def check(own: OwnAuthority, text: str) -> Token:
    """The token that a text is, if it is good now; its use is noted, once a minute.

    Raises:
        NoAccessError: It is none, has ended, or was revoked; which, is told only to its owner.
    """
    match = _FORM.fullmatch(text)
    token = own.ledger.read(lambda tx: access.by_id(tx, match[1])) if match else None
    if token is None or match is None or not hmac.compare_digest(_digest(match[2]), token.digest):
        raise NoAccessError("no such token; kpnode token make")
    now_s = own.now_s()
    if token.revoked_at is not None:
        raise NoAccessError("the token was revoked; kpnode token make")
    if now_s >= token.until:
        raise NoAccessError("the token has ended; kpnode token make")
    if now_s - (token.last_used or 0) >= USED_EVERY_S:
        # Not waited for: who only reads must not wait for a large batch of somebody else.
        own.ledger.write_soon(lambda tx: access.used(tx, token.id, now_s))
    return token


def still_good(own: OwnAuthority, token_id: str) -> None:
    """Whether a token that was good is so now.

    Raises:
        NoAccessError: It has ended, or was revoked.
    """
    token = own.ledger.read(lambda tx: access.by_id(tx, token_id))
    if token is None or token.revoked_at is not None or own.now_s() >= token.until:
        raise NoAccessError("the token has ended; kpnode token make")


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
