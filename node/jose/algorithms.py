"""The two algorithms of version 1, on PyJWT's algorithm objects.

PyJWT has no fully specified ``Ed25519`` (RFC 9864) yet and its `OKPAlgorithm` would also take
Ed448 keys; keys are checked when they enter (`node.jose.keys`), so its `verify` is safe here.
"""

from jwt.algorithms import ECAlgorithm, OKPAlgorithm

ED25519 = "Ed25519"
ES256 = "ES256"

SIGNATURE_BYTES = 64
"""Both algorithms sign in 64 bytes."""

ALGORITHMS: dict[str, OKPAlgorithm | ECAlgorithm] = {
    ED25519: OKPAlgorithm(),
    ES256: ECAlgorithm(ECAlgorithm.SHA256),
}
