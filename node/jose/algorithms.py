"""The two algorithms of version 1.

Ed25519 (RFC 9864) is `cryptography`'s own; PyJWT has no algorithm by that name, and its ``EdDSA``
would take Ed448 keys as well. ES256 is PyJWT's, which knows how JOSE writes such signatures; it is
imported where one is met, as few keys are and the import takes a tenth of a second.
"""

from functools import cache
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

if TYPE_CHECKING:
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


def verify(key: "Ed25519PublicKey | EllipticCurvePublicKey", message: bytes, sig: bytes) -> bool:
    """Whether a signature over a message verifies with a key."""
    if len(sig) != SIGNATURE_BYTES:
        return False
    if not isinstance(key, Ed25519PublicKey):
        return es256().verify(message, key, sig)
    try:
        key.verify(sig, message)
    except InvalidSignature:
        return False
    return True
