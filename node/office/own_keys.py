"""This authority's own keys: new ones announced ahead, former ones retired, lost ones revoked.

The published set only ever grows: who has the former one still verifies what was signed before.
"""

from collections.abc import Sequence
from typing import Any

from node import durable_file
from node.authority import OwnAuthority
from node.clock import iso
from node.errors import ConfigError, NotFoundError
from node.jose.keys import KeySet, PublicKey, read_key_set
from node.jose.signing import make_key
from node.ledger import acts, peers
from node.ledger.database import Transaction
from node.office.hold_peer import check_reason
from node.office.officer import Officer
from node.strict_json import dumps

OVERLAP_S = 24 * 3600
"""A former key is still good so long once the next is in use: nobody's clock or restart is exact."""


def renew(
    own: OwnAuthority, roles: Sequence[str], begins_s: int, because: str, officer: Officer
) -> KeySet:
    """Make a new key for each role, in use from a moment on; the former ones retire a day later.

    Order of effects: the private keys, the audit trail, the published set. A crash in between
    leaves private keys that nobody knows of; the same call again makes others.

    Args:
        own: This node.
        roles: Some of ``doc``, ``msg``, ``log``.
        begins_s: Second from which the new keys sign; peers must have pinned them by then.
        because: Why.
        officer: Who decides.

    Returns:
        The set as it is published from now on.

    Raises:
        ConfigError: ``no-reason``; ``renewal-waits``: a role has a key that is not in use yet;
            ``key-set-changed`` by somebody else meanwhile.
    """
    check_reason(because)
    for role in roles:
        for key in own.keys.with_role(role):
            if (key.not_before or 0) > own.now_s():
                detail = f"{key.kid} ({role}) waits to be in use from {iso(key.not_before or 0)} on"
                raise ConfigError(f"{detail}; revoke it first", code="renewal-waits")
    folder, made = own.config.node.private_keys, list[dict[str, Any]]()
    try:
        for role in roles:
            made.append(make_key(role, folder, begins_s))
        told = f"{', '.join(roles)} from {iso(begins_s)}: {because}"
        return _publish(own, [*_as_published(own), *made], "keys renew", told, officer)
    except BaseException:
        heard_of = {jwk["kid"] for jwk in _published(own)["keys"]}
        for jwk in made:
            if jwk["kid"] not in heard_of:
                (folder / f"{jwk['kid']}.pem").unlink(missing_ok=True)
        raise


def revoke(own: OwnAuthority, kid: str, because: str, officer: Officer) -> KeySet:
    """Say that a key counts no more, whatever it has signed; what peers have logged before stays.

    Manifests under way are made anew, as no peer takes one that a revoked key has signed.

    Returns:
        The set as it is published from now on.

    Raises:
        NotFoundError: It is no key of this authority.
        ConfigError: ``no-reason``, ``already-revoked``, or ``last-key``: its role would have none.
    """
    check_reason(because)
    key = own.keys.keys.get(kid)  # type: ignore[call-overload]
    if key is None:
        raise NotFoundError(f"{kid} is no key of {own.name}; see kpnode keys list")
    if key.revoked_at is not None:
        raise ConfigError(f"{kid} was revoked at {iso(key.revoked_at)}", code="already-revoked")
    now_s = own.now_s()
    others = [k for k in own.keys.with_role(key.role) if k.kid != kid and k.current_at(now_s)]
    if key.current_at(now_s) and not others:
        raise ConfigError(
            f"{kid} is the only {key.role} key in use: first kpnode keys renew --role {key.role} --now",
            code="last-key",
        )
    told = [
        jwk | ({"kp_revoked_at": now_s} if jwk["kid"] == kid else {}) for jwk in _as_published(own)
    ]
    return _publish(own, told, "keys revoke", f"{kid} ({key.role}): {because}", officer)


def state(keys: KeySet, key: PublicKey, now_s: int) -> str:
    """A word for a key: ``signs``, ``next``, ``retiring``, ``retired`` or ``revoked``."""
    if key.revoked_at is not None:
        return "revoked"
    if keys.signing(key.role, now_s) is key:
        return "signs"
    if (key.not_before or 0) > now_s:
        return "next"
    return "retiring" if key.current_at(now_s) else "retired"


def _as_published(own: OwnAuthority) -> list[dict[str, Any]]:
    return [dict(key.jwk) for key in own.keys.keys.values()]


def _in_turn(keys: Sequence[dict[str, Any]], now_s: int) -> list[dict[str, Any]]:
    """Keys with the ends that follow from their successors; one whose successor was revoked goes on.

    An end that is past stays, as does one that somebody has written by hand, unless a successor
    comes earlier.
    """
    return [
        jwk
        if "kp_revoked_at" in jwk or (jwk.get("kp_retire_after") or now_s + 1) <= now_s
        else _ending(jwk, [other for other in keys if other["kp_role"] == jwk["kp_role"]])
        for jwk in keys
    ]


def _ending(jwk: dict[str, Any], of_role: Sequence[dict[str, Any]]) -> dict[str, Any]:
    begins = jwk.get("kp_not_before", 0)
    later = [other for other in of_role if other.get("kp_not_before", 0) > begins]
    void = {one["kp_not_before"] + OVERLAP_S for one in later if "kp_revoked_at" in one}
    ends = [one["kp_not_before"] + OVERLAP_S for one in later if "kp_revoked_at" not in one]
    if (given := jwk.get("kp_retire_after")) is not None and given not in void:
        ends.append(given)
    told = {name: value for name, value in jwk.items() if name != "kp_retire_after"}
    return told | {"kp_retire_after": min(ends)} if ends else told


def _published(own: OwnAuthority) -> dict[str, Any]:
    """The set as it is published now."""
    return read_key_set(own.config.node.key_set.read_bytes()).as_json()


def _publish(
    own: OwnAuthority, keys: Sequence[dict[str, Any]], verb: str, told: str, officer: Officer
) -> KeySet:
    raw = dumps({"kp_authority": own.name, "keys": _in_turn(keys, own.now_s())})
    made = read_key_set(raw)

    def unchanged() -> None:
        if _published(own) != own.keys.as_json():
            detail = "the key set was changed meanwhile; look at kpnode keys list, then try again"
            raise ConfigError(detail, code="key-set-changed")

    def write(tx: Transaction) -> None:
        unchanged()
        acts.note(tx, own.now_s(), verb, told, officer.office, officer.officer)
        for peer in own.config.peers:
            peers.update(tx, peer.authority, in_flight=None)

    def put(_: Transaction) -> None:
        unchanged()
        durable_file.write(own.config.node.key_set, raw + b"\n", mode=0o644)

    own.ledger.write(write)
    own.ledger.write(put)  # a transaction, so that two who do this at once do not meet here
    return made
