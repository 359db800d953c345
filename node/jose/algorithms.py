"""The two algorithms of version 1.

Ed25519 (RFC 9864) is signed by `cryptography` and verified by libsodium, in three fifths of OpenSSL's
time: it is most of what a node does. PyJWT has no algorithm by that name, and its ``EdDSA`` would take
Ed448 keys as well. ES256 is PyJWT's, which knows how JOSE writes such signatures. What only some
commands need is imported there.
"""

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from jwt.algorithms import ECAlgorithm

ED25519 = "Ed25519"
ES256 = "ES256"
ALGORITHMS = (ED25519, ES256)

SIGNATURE_BYTES = 64
"""Both algorithms sign in 64 bytes."""


@cache
def es256() -> "ECAlgorithm":
    """PyJWT's ES256."""
    from jwt.algorithms import ECAlgorithm

    return ECAlgorithm(ECAlgorithm.SHA256)


def verify_ed25519(key: bytes, message: bytes, sig: bytes) -> bool:
    """Whether an Ed25519 signature over a message verifies with a key of 32 bytes."""
    return len(sig) == SIGNATURE_BYTES and _sodium()(key, message, sig)


def verify_es256(key: "EllipticCurvePublicKey", message: bytes, sig: bytes) -> bool:
    """Whether an ES256 signature over a message, as JOSE writes it, verifies with a key."""
    return len(sig) == SIGNATURE_BYTES and es256().verify(message, key, sig)


@cache
def _sodium() -> "Callable[[bytes, bytes, bytes], bool]":
    from nacl.bindings import crypto_sign_open
    from nacl.exceptions import BadSignatureError

    def verifies(key: bytes, message: bytes, sig: bytes) -> bool:
        try:
            crypto_sign_open(sig + message, key)
        except BadSignatureError:
            return False
        return True

    return verifies
