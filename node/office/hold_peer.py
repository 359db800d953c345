"""What an operator decides of a peer: pause it, let it go on, take over its new keys.

Each is in the audit trail with its reason.
"""

from node import durable_file
from node.authority import OwnAuthority
from node.errors import ConfigError, NotFoundError
from node.jose.keys import KeySet, read_key_set, same_fingerprint
from node.ledger import acts, peers, streams
from node.ledger.database import Transaction
from node.strict_json import dumps


def check_reason(because: str) -> None:
    """A reason is a line of text.

    Raises:
        ConfigError: ``no-reason``.
    """
    if not because.strip() or not because.isprintable() or len(because) > 500:
        raise ConfigError("expected a reason of one line, at most 500 characters", code="no-reason")


def pause(own: OwnAuthority, authority: str, because: str) -> None:
    """Send nothing to a peer and take nothing from it until `resume`.

    Raises:
        NotFoundError: It is no peer.
        ConfigError: ``no-reason``, or ``already-paused``.
    """
    check_reason(because)

    def act(tx: Transaction) -> None:
        state = _state(tx, own, authority)
        if state.paused_at is not None:
            raise ConfigError(
                f"{authority} is paused already: {state.paused_because}", code="already-paused"
            )
        now_s = own.now_s()
        peers.update(tx, authority, paused_at=now_s, paused_because=because)
        acts.note(tx, now_s, "peer pause", f"{authority} {because}")

    own.ledger.write(act)


def resume(own: OwnAuthority, authority: str, because: str) -> int:
    """End the pause of a peer and all its incidents; returns how many those were.

    What an incident found stays on record. If its cause lasts, it opens anew at the next contact.

    Raises:
        NotFoundError: It is no peer.
        ConfigError: ``no-reason``, or ``nothing-to-resume``.
    """
    check_reason(because)

    def act(tx: Transaction) -> int:
        state, now_s = _state(tx, own, authority), own.now_s()
        ended = peers.resolve(tx, authority, because, now_s)
        if not ended and state.paused_at is None:
            raise ConfigError(
                f"{authority} is not paused and has no open incident", code="nothing-to-resume"
            )
        seen = streams.received_place(tx, authority)
        assert seen is not None
        peers.update(
            tx, authority, paused_at=None, paused_because=None, looked_through=seen.position,
            next_try=0, attempts=0, bad_proofs=0,
        )  # fmt: skip
        acts.note(tx, now_s, "peer resume", f"{authority} {because}")
        return ended

    return own.ledger.write(act)


def renew_keys(
    own: OwnAuthority, authority: str, *, key_set: bytes, fingerprint: str, because: str
) -> KeySet:
    """Pin other keys of a known peer; the former ones stay on record for its former documents.

    Order of effects: the pin in the ledger, then the file. A crash in between leaves a file that
    does not match, which stops the peer; the same call again completes it.

    Args:
        own: This node.
        authority: The peer.
        key_set: Its new published set, as bytes.
        fingerprint: What its officials read out.
        because: Why its keys are new.

    Raises:
        NotFoundError: It is no peer.
        ConfigError: ``no-reason``, ``bad-key-set``, ``wrong-authority``, ``wrong-fingerprint``;
            nothing was written.
    """
    check_reason(because)
    settings = own.config.known_peer(authority)
    keys = read_key_set(key_set)
    if keys.authority != authority:
        raise ConfigError(
            f"the key set is of {keys.authority}, not of {authority}", code="wrong-authority"
        )
    if not same_fingerprint(fingerprint, keys.fingerprint):
        raise ConfigError(
            f"expected fingerprint {fingerprint}, the set has {keys.fingerprint}; do not trust it",
            code="wrong-fingerprint",
        )

    def act(tx: Transaction) -> None:
        _, now_s = _state(tx, own, authority), own.now_s()
        if pinned is None or pinned.as_json() != keys.as_json():  # dates may be all that is new
            peers.pin(tx, authority, keys.fingerprint, dumps(keys.as_json()), now_s)
            acts.note(tx, now_s, "peer renew", f"{authority} {keys.fingerprint} {because}")
        peers.resolve(tx, authority, because, now_s, code="keys-changed")
        # What is under way may have been answered already, under a key that is revoked now.
        peers.update(tx, authority, next_try=0, attempts=0, in_flight=None)

    pinned = own.book.ring.get(settings.authority)
    own.ledger.write(act)
    raw = dumps(keys.as_json()) + b"\n"
    # A transaction, so that two who do the same at once do not meet here.
    own.ledger.write(lambda _: durable_file.write(settings.jwks, raw, mode=0o644))
    return keys


def _state(tx: Transaction, own: OwnAuthority, authority: str) -> peers.PeerState:
    state = peers.state(tx, authority)
    if state is None or own.config.peer(authority) is None:
        raise NotFoundError(f"{authority} is no peer of this node; see kpnode peer list")
    return state
