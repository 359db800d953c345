"""Two independent libraries read what this node signs, and it reads what they sign."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jws as joserfc_jws
from joserfc.jwk import ECKey, OKPKey
from jwcrypto import jwk as jwcrypto_jwk
from jwcrypto import jws as jwcrypto_jws

from node.errors import RefusedError
from node.jose.keys import read_key_set, thumbprint
from node.jose.signing import Ed25519Signer, sign_document
from node.jose.strict import parse
from node.jose.verify import verify

TYP = "vnd.kp.certificate.v1+jwt"
CLAIMS = {"iss": "RU", "aud": ["EU-BE"], "iat": 1795305600, "text": "Алмазы"}


def key_set(public: dict, alg: str) -> dict:
    """A ring in which `public` is RU's doc key, beside fresh msg and log keys."""
    keys = []
    others = [OKPKey.generate_key("Ed25519").as_dict(private=False) for _ in range(2)]
    for role, jwk in zip(("doc", "msg", "log"), (public, *others), strict=True):
        bare = {name: jwk[name] for name in ("kty", "crv", "x", "y") if name in jwk}
        name = alg if role == "doc" else "Ed25519"
        keys.append(bare | {"kid": thumbprint(bare), "alg": name, "use": "sig", "kp_role": role})
    return {"RU": read_key_set(json.dumps({"kp_authority": "RU", "keys": keys}).encode())}


def signed_here() -> tuple[bytes, dict]:
    private = Ed25519PrivateKey.generate()
    jwk = jwcrypto_jwk.JWK.from_pyca(private.public_key()).export_public(as_dict=True)
    return sign_document(Ed25519Signer(private), TYP, "RU", CLAIMS).raw, jwk


def test_joserfc_reads_what_is_signed_here() -> None:
    raw, jwk = signed_here()

    read = joserfc_jws.deserialize_compact(raw, OKPKey.import_key(jwk), algorithms=["Ed25519"])

    assert json.loads(read.payload) == CLAIMS


def test_jwcrypto_reads_what_is_signed_here() -> None:
    raw, jwk = signed_here()
    read = jwcrypto_jws.JWS()
    read.allowed_algs = ["Ed25519", "EdDSA"]

    read.deserialize(raw.decode())
    read.verify(jwcrypto_jwk.JWK(**jwk))

    assert json.loads(read.payload) == CLAIMS


@pytest.mark.parametrize("alg", ["Ed25519", "ES256"])
def test_what_joserfc_signs_is_read_here(alg: str) -> None:
    key = OKPKey.generate_key("Ed25519") if alg == "Ed25519" else ECKey.generate_key("P-256")
    public = key.as_dict(private=False)
    header = {"alg": alg, "kid": thumbprint(public), "typ": TYP}
    compact = joserfc_jws.serialize_compact(header, json.dumps(CLAIMS), key, algorithms=[alg])

    signed = verify(parse(compact.encode()), key_set(public, alg), "doc")

    assert signed.claims == CLAIMS


@pytest.mark.parametrize("alg", ["Ed25519", "ES256"])
def test_what_jwcrypto_signs_is_read_here(alg: str) -> None:
    if alg == "Ed25519":
        key = jwcrypto_jwk.JWK.generate(kty="OKP", crv="Ed25519")
    else:
        key = jwcrypto_jwk.JWK.generate(kty="EC", crv="P-256")
    public = key.export_public(as_dict=True)
    made = jwcrypto_jws.JWS(json.dumps(CLAIMS))
    made.allowed_algs = [alg]
    header = {"alg": alg, "kid": thumbprint(public), "typ": TYP}
    made.add_signature(key, None, json.dumps(header))

    signed = verify(parse(made.serialize(compact=True).encode()), key_set(public, alg), "doc")

    assert signed.claims == CLAIMS


def test_an_es256_signature_under_another_algorithm_is_refused() -> None:
    key = ECKey.generate_key("P-256")
    public = key.as_dict(private=False)
    header = {"alg": "ES256", "kid": thumbprint(public), "typ": TYP}
    compact = joserfc_jws.serialize_compact(header, json.dumps(CLAIMS), key, algorithms=["ES256"])
    part = joserfc_jws.serialize_compact(
        header | {"alg": "Ed25519"}, json.dumps(CLAIMS), OKPKey.generate_key("Ed25519"),
        algorithms=["Ed25519"],
    )  # fmt: skip
    forged = ".".join([*part.split(".")[:2], compact.split(".")[2]])

    with pytest.raises(RefusedError) as refusal:
        verify(parse(forged.encode()), key_set(public, "ES256"), "doc")

    assert refusal.value.code == "bad-signature"
