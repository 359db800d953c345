"""From `UnverifiedJws` to `SignedDocument`: the only door."""

from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from node.documents import SignedDocument, UnverifiedJws
from node.errors import refuse
from node.ids import Authority
from node.jose.algorithms import verify_ed25519, verify_es256
from node.jose.keys import KeySet, PublicKey

KeyRing = Mapping[Authority, KeySet]
"""Pinned public keys by authority."""


def verify(
    untrusted: UnverifiedJws, ring: KeyRing, role: str, *, already_logged: bool = False
) -> SignedDocument:
    """Check the signature with the one pinned key of the issuer that has this ``kid``.

    Says nothing of schema or rules; `node.schema` and `node.domain` do.

    Args:
        untrusted: Output of `node.jose.strict.parse`.
        ring: Pinned public keys.
        role: The role the kind demands, ``doc`` or ``msg``.
        already_logged: Whether the log held the document before; a key revoked since then does
            not undo it (protocol section 6).

    Returns:
        The payload and the authority that signed it.

    Raises:
        RefusedError: ``unknown-issuer``, ``unknown-key``, ``wrong-key-role``, ``key-not-current``,
            ``revoked-key`` or ``bad-signature``.
    """
    issuer = Authority(untrusted.claimed_issuer)
    key_set = ring.get(issuer)
    if key_set is None:
        raise refuse("KP-S-001", f"no pinned key set of {untrusted.claimed_issuer!r:.40}")
    key = key_set.keys.get(untrusted.kid)
    if key is None:
        raise refuse("KP-S-004", f"{issuer} has no pinned key {untrusted.kid}")
    if key.role != role:
        raise refuse("KP-S-003", f"expected a {role} key, {key.kid} is a {key.role} key")
    _check_time(untrusted, key)
    if key.revoked_at is not None and not already_logged:
        raise refuse("KP-S-006", f"{key.kid} is revoked since {key.revoked_at}")
    if key.alg != untrusted.alg:
        raise refuse("KP-S-002", f"alg: expected {key.alg} of the key, got {untrusted.alg}")
    signing_input = untrusted.raw[: untrusted.raw.rindex(b".")]
    if not verify_raw(key, signing_input, untrusted.signature):
        raise refuse("KP-S-002", f"the signature does not verify with {key.kid} of {issuer}")
    return SignedDocument(
        raw=untrusted.raw,
        doc_id=untrusted.doc_id,
        digest=untrusted.digest,
        typ=untrusted.typ,
        iss=issuer,
        kid=key.kid,
        claims=untrusted.unverified,
    )


def verify_raw(key: PublicKey, message: bytes, signature: bytes) -> bool:
    """Whether a bare signature over bytes verifies with a key."""
    if isinstance(key.key, Ed25519PublicKey):
        return verify_ed25519(key.raw, message, signature)
    return verify_es256(key.key, message, signature)


def _check_time(untrusted: UnverifiedJws, key: PublicKey) -> None:
    moment = untrusted.unverified.get("iat")
    if type(moment) is int and not key.current_at(moment):
        raise refuse(
            "KP-S-005",
            f"{key.kid} is in use from {key.not_before} to {key.retire_after}, iat is {moment}",
        )
