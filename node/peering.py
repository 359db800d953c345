"""The peers as pinned: settings, key sets, and who is stopped because its keys changed."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from node.config import Config, PeerSettings
from node.errors import ConfigError
from node.ids import Authority
from node.jose.keys import KeySet, read_key_set
from node.ledger import acts, peers, register, streams
from node.ledger.database import Transaction
from node.strict_json import dumps


@dataclass(frozen=True, slots=True)
class PeerBook:
    """The peers of a node at one moment.

    Attributes:
        settings: By authority, everyone in `peers.toml`.
        ring: Pinned key sets of those whose file still matches the pin.
        stopped: Authority and reason of those whose file does not.
        client_certificates: The certificate, DER, that a peer's client must show; only those with
            a pin.
    """

    settings: Mapping[Authority, PeerSettings]
    ring: Mapping[Authority, KeySet]
    stopped: Mapping[Authority, str]
    client_certificates: Mapping[Authority, bytes]


def open_book(tx: Transaction, config: Config, now_s: int) -> PeerBook:
    """Read every peer's key set and hold it against the pin in the ledger.

    A peer that stands in `peers.toml` for the first time is pinned now: whoever may edit that
    file may add peers. One whose file no longer matches is stopped with an incident.
    """
    ring: dict[Authority, KeySet] = {}
    stopped: dict[Authority, str] = {}
    for settings in config.peers:
        try:
            key_set = read_peer_keys(settings)
        except ConfigError as error:
            stopped[settings.authority] = str(error)
            code = "key-set-unusable"
            peers.report(tx, settings.authority, code, "both", str(error), {}, now_s)
            continue
        peers.resolve(
            tx, settings.authority, "the key set can be read", now_s,
            code="key-set-unusable", direction="both",
        )  # fmt: skip
        state = peers.state(tx, settings.authority)
        if state is None:
            welcome(tx, config, settings.authority, key_set, now_s)
            acts.note(tx, now_s, "pin", f"{settings.authority} {key_set.fingerprint}")
        elif state.fingerprint != key_set.fingerprint:
            reason = f"pinned {state.fingerprint}, {settings.jwks.name} has {key_set.fingerprint}"
            stopped[settings.authority] = reason
            evidence = {"pinned": state.fingerprint, "found": key_set.as_json()}
            peers.report(tx, settings.authority, "keys-changed", "both", reason, evidence, now_s)
            continue
        else:
            as_json = dumps(key_set.as_json())
            peers.keep_key_set(tx, settings.authority, key_set.fingerprint, as_json, now_s)
            peers.resolve(
                tx, settings.authority, "the pinned set is back", now_s,
                code="keys-changed", direction="both",
            )  # fmt: skip
        ring[settings.authority] = key_set
    _note_reference(tx, config, now_s)
    by_name = {peer.authority: peer for peer in config.peers}
    return PeerBook(by_name, ring, stopped, _pins(by_name))


def _pins(by_name: Mapping[Authority, PeerSettings]) -> Mapping[Authority, bytes]:
    if not any(peer.client_certificate for peer in by_name.values()):
        return {}
    from node.tls import pins  # late: few have one, and TLS takes a fiftieth of a second

    return pins(by_name)


def welcome(
    tx: Transaction, config: Config, authority: Authority, key_set: KeySet, now_s: int
) -> None:
    """Pin a peer that is new, and queue for it this authority's alerts that are in force."""
    peers.pin(tx, authority, key_set.fingerprint, dumps(key_set.as_json()), now_s)
    streams.enqueue(tx, authority, register.for_newcomer(tx, config.node.authority), now_s)


def _note_reference(tx: Transaction, config: Config, now_s: int) -> None:
    """Put a change of the home's reference tables into the audit trail."""
    told = ", ".join(
        f"{name} sha256 {hashlib.sha256(text.encode()).hexdigest()}"
        for name, text in config.reference
    )
    last = acts.newest(tx, "reference")
    if told != (last.subject if last else ""):
        acts.note(tx, now_s, "reference", told)


def keys_of_all_times(tx: Transaction, config: Config) -> dict[Authority, KeySet]:
    """Every key that was ever pinned, by authority: what judges documents of the past."""
    ring: dict[Authority, KeySet] = {}
    for authority in (peer.authority for peer in config.peers):
        sets = [read_key_set(raw) for raw in peers.key_sets(tx, authority)]
        keys = {kid: key for one in sets for kid, key in one.keys.items()}
        if keys:
            ring[authority] = KeySet(authority, keys)
    return ring


def read_peer_keys(settings: PeerSettings) -> KeySet:
    """A peer's key set from the file that `peers.toml` names.

    Raises:
        ConfigError: ``keys-missing`` or ``bad-key-set``, also for a set of another authority.
    """
    try:
        key_set = read_key_set(settings.jwks.read_bytes())
    except OSError as error:
        raise ConfigError(f"{settings.jwks}: {error.strerror}", code="keys-missing") from None
    if key_set.authority != settings.authority:
        raise ConfigError(
            f"{settings.jwks} is the set of {key_set.authority}, not of {settings.authority}",
            code="bad-key-set",
        )
    return key_set
