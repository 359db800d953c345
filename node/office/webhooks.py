"""Webhooks of the authority's own systems: added, removed, told again from an event.

Signed as the Standard Webhooks specification has it; the secret is a file beside the private keys,
0600, and is shown once.
"""

import base64
import hashlib
import hmac
import secrets
from pathlib import Path
from urllib.parse import urlsplit

from node import durable_file
from node.authority import OwnAuthority
from node.errors import ConfigError, NotFoundError
from node.ledger import acts, entries, subscribers
from node.ledger.database import Transaction
from node.ledger.subscribers import Subscriber


def add(own: OwnAuthority, url: str, *, from_start: bool = False) -> tuple[str, str]:
    """Tell an address of events from now on; returns its id and its secret, ``whsec_…``.

    Order of effects: the secret's file, then the record.

    Args:
        own: Whose events.
        url: Of a host that ``[webhooks] allow`` in `peers.toml` names.
        from_start: Begin with the first event there ever was.

    Raises:
        ConfigError: ``not-allowed``.
    """
    check_allowed(own, url)
    secret, subscriber_id = secrets.token_bytes(32), secrets.token_hex(6)
    path = _secret_file(own, subscriber_id)
    durable_file.write(path, base64.b64encode(secret))

    def write(tx: Transaction) -> None:
        cursor = -1 if from_start else entries.size(tx) - 1
        subscribers.add(tx, subscriber_id, url, cursor, own.now_s())
        acts.note(tx, own.now_s(), "webhook add", f"{subscriber_id} {url}")

    own.ledger.write(write)
    return subscriber_id, f"whsec_{base64.b64encode(secret).decode()}"


def remove(own: OwnAuthority, subscriber_id: str) -> Subscriber:
    """Tell an address no longer.

    Raises:
        NotFoundError: There is none of this id.
    """

    def write(tx: Transaction) -> Subscriber:
        found = _found(tx, subscriber_id)
        subscribers.remove(tx, subscriber_id)
        acts.note(tx, own.now_s(), "webhook remove", f"{subscriber_id} {found.url}")
        return found

    found = own.ledger.write(write)
    _secret_file(own, subscriber_id).unlink(missing_ok=True)
    return found


def replay(own: OwnAuthority, subscriber_id: str, after: int) -> Subscriber:
    """Tell an address again what came after an event; also starts one anew that was stopped.

    Raises:
        NotFoundError: There is none of this id.
    """

    def write(tx: Transaction) -> Subscriber:
        _found(tx, subscriber_id)
        subscribers.go_on(tx, subscriber_id, min(after, entries.size(tx) - 1))
        acts.note(tx, own.now_s(), "webhook replay", f"{subscriber_id} after {after}")
        return _found(tx, subscriber_id)

    return own.ledger.write(write)


def check_allowed(own: OwnAuthority, url: str) -> None:
    """An address is posted to only while the operator allows its host.

    Raises:
        ConfigError: ``not-allowed``.
    """
    try:
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
    except ValueError:
        origin = ""
    if origin not in own.config.webhooks or "@" in url or "#" in url:
        allowed = ", ".join(own.config.webhooks) or "none"
        raise ConfigError(
            f"{url}: not among the addresses that [webhooks] allow in peers.toml names ({allowed})",
            code="not-allowed",
        )


def headers(own: OwnAuthority, subscriber_id: str, event_id: str, raw: bytes) -> dict[str, str]:
    """The headers of one message (Standard Webhooks: id, timestamp, signature).

    Raises:
        ConfigError: ``keys-missing``: its secret is gone, as after a restore; add it anew.
    """
    try:
        secret = base64.b64decode(_secret_file(own, subscriber_id).read_bytes(), validate=True)
    except (OSError, ValueError):
        detail = f"the secret of webhook {subscriber_id} is gone; remove it and add it anew"
        raise ConfigError(detail, code="keys-missing") from None
    now = str(own.now_s())
    digest = hmac.new(secret, f"{event_id}.{now}.".encode() + raw, hashlib.sha256).digest()
    return {
        "Content-Type": "application/cloudevents+json",
        "webhook-id": event_id,
        "webhook-timestamp": now,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def _found(tx: Transaction, subscriber_id: str) -> Subscriber:
    found = subscribers.by_id(tx, subscriber_id)
    if found is None:
        raise NotFoundError(f"no webhook {subscriber_id}; see kpnode webhook list")
    return found


def _secret_file(own: OwnAuthority, subscriber_id: str) -> Path:
    return own.config.node.private_keys / f"webhook-{subscriber_id}"
