"""Pin a further authority: its key set, its fingerprint, its table in `peers.toml`."""

from pathlib import Path

from node import config as settings
from node import durable_file
from node.authority import OwnAuthority
from node.domain.reference import reference
from node.errors import ConfigError
from node.jose.keys import KeySet, read_key_set, same_fingerprint
from node.ledger import acts, peers
from node.ledger.database import Transaction
from node.peering import welcome
from node.schema.validation import check
from node.strict_json import dumps


def add_peer(
    own: OwnAuthority,
    authority: str,
    *,
    url: str,
    key_set: bytes,
    fingerprint: str | None,
    name: str | None,
    mode: str,
) -> KeySet:
    """Pin a peer's key set and append the peer to `peers.toml`.

    Order of effects: the pin in the ledger, the key set's file, the table. A crash in between
    leaves a pin without a peer, and the same call again completes it.

    Args:
        own: This node.
        authority: The peer.
        url: Where its node is reached.
        key_set: Its published set, as bytes.
        fingerprint: What its officials read out; None if the caller compares it himself.
        name: For people; by default the participant's.
        mode: ``push``, ``pull`` or ``carry``.

    Raises:
        ConfigError: ``peer-exists``, ``bad-key-set``, ``wrong-authority``, ``wrong-fingerprint``,
            ``keys-changed`` or ``bad-config``; nothing was written.
    """
    if own.config.peer(authority) is not None:
        raise ConfigError(
            f"{authority} is a peer already; its table in peers.toml is changed by hand",
            code="peer-exists",
        )
    keys = read_key_set(key_set)
    if keys.authority != authority:
        raise ConfigError(
            f"the key set is of {keys.authority}, not of {authority}", code="wrong-authority"
        )
    if fingerprint is not None and not same_fingerprint(fingerprint, keys.fingerprint):
        raise ConfigError(
            f"expected fingerprint {fingerprint}, the set has {keys.fingerprint}; do not trust it",
            code="wrong-fingerprint",
        )
    home, file_name = own.config.home, f"keys/{authority}.jwks.json"
    table = settings.peer_table(
        authority, name or reference().name_of(authority), url, file_name, mode
    )
    path, target = home / settings.PEERS_FILE, home / file_name
    _with_it(path, table)  # before anything is written
    own.ledger.write(lambda tx: _pin(tx, own, keys))

    def write(_: Transaction) -> None:
        raw = _with_it(path, table)
        target.parent.mkdir(exist_ok=True)
        durable_file.write(target, dumps(keys.as_json()) + b"\n", mode=0o644)
        durable_file.write(path, raw, mode=0o644)

    own.ledger.write(write)  # a transaction, so that two who add peers at once do not meet here
    return keys


def _with_it(path: Path, table: str) -> bytes:
    """The peers' file with one more table, if that is good."""
    raw = path.read_bytes() + table.encode()
    settings.parse(raw, path.parent, check)
    return raw


def _pin(tx: Transaction, own: OwnAuthority, keys: KeySet) -> None:
    authority, now_s = keys.authority, own.now_s()
    state = peers.state(tx, authority)
    if state is None:
        welcome(tx, own.config, authority, keys, now_s)
    elif state.fingerprint != keys.fingerprint:
        raise ConfigError(
            f"{authority} is pinned with {state.fingerprint}, this set has {keys.fingerprint}",
            code="keys-changed",
        )
    acts.note(tx, now_s, "peer add", f"{authority} {keys.fingerprint}")
