"""Third-party vectors, run as primitives and as compact strings."""

import base64
from functools import partial

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from node import base64url
from node.errors import RefusedError
from node.jose.algorithms import verify_ed25519, verify_es256
from node.jose.keys import read_public_key, thumbprint
from node.jose.strict import parse
from node.log import tree
from tests import shared


def test_every_wycheproof_ed25519_case_is_judged_as_labelled() -> None:
    cases = 0
    for group in shared.load("vectors/wycheproof/ed25519_test.json")["testGroups"]:
        key = bytes.fromhex(group["publicKey"]["pk"])
        read_public_key({"kty": "OKP", "crv": "Ed25519", "x": base64url.encode(key)})
        for case in group["tests"]:
            good = verify_ed25519(key, bytes.fromhex(case["msg"]), bytes.fromhex(case["sig"]))
            assert good == (case["result"] == "valid"), case["tcId"]
            cases += 1
    assert cases == 151


def test_every_wycheproof_p256_case_is_judged_as_labelled() -> None:
    cases = 0
    for group in shared.load("vectors/wycheproof/ecdsa_secp256r1_sha256_p1363_test.json")[
        "testGroups"
    ]:
        point = bytes.fromhex(group["publicKey"]["uncompressed"])
        x, y = base64url.encode(point[1:33]), base64url.encode(point[33:])
        key = read_public_key({"kty": "EC", "crv": "P-256", "x": x, "y": y})
        for case in group["tests"]:
            signature = bytes.fromhex(case["sig"])
            good = verify_es256(key, bytes.fromhex(case["msg"]), signature)
            assert good == (case["result"] == "valid"), case["tcId"]
            cases += 1
    assert cases == 262


def test_rfc_signatures_verify_as_primitives() -> None:
    rfc7515 = shared.load("vectors/jose-rfc/rfc7515_appendix.json")
    rfc8037 = shared.load("vectors/jose-cookbook/curve25519/jws.json")
    signed = [
        (entry["compact"], entry["key"])
        for entry in rfc7515
        if entry.get("compact")
        and entry.get("valid")
        and entry.get("key", {}).get("crv") == "P-256"
    ]
    signed.append((rfc8037["output"]["compact"], rfc8037["input"]["key"]))
    assert len(signed) >= 2

    for compact, key in signed:
        public = {name: value for name, value in key.items() if name != "d"}
        signing_input, _, signature = compact.rpartition(".")
        found, text = read_public_key(public), signing_input.encode()
        check = partial(verify_es256, found)
        if isinstance(found, Ed25519PublicKey):
            check = partial(verify_ed25519, found.public_bytes_raw())
        assert check(text, base64url.decode(signature))
        assert not check(text + b"x", base64url.decode(signature))


def test_foreign_compact_strings_are_refused_for_their_header() -> None:
    found = set(_compact_strings())
    assert len(found) >= 10

    for text in found:
        with pytest.raises(RefusedError) as refusal:
            parse(text.encode())
        assert refusal.value.code == "bad-header", text


def test_thumbprints_are_those_of_the_rfcs() -> None:
    found = shared.load("vectors/jose-rfc/rfc7638_thumbprints.json")
    assert len(found) == 3

    for entry in found:
        assert thumbprint(entry["jwk"]) == entry["sha256"], entry["section"]


def test_inclusion_proofs_are_judged_as_labelled() -> None:
    for name, case in shared.load("vectors/transparency-dev-merkle/inclusion.json").items():
        good = tree.verify_inclusion(
            _raw(case["leafHash"]), case["leafIdx"], case["treeSize"],
            [_raw(step) for step in case["proof"] or []], _raw(case["root"]),
        )  # fmt: skip
        assert good != case["wantErr"], name


def test_consistency_proofs_are_judged_as_labelled_but_from_nothing() -> None:
    for name, case in shared.load("vectors/transparency-dev-merkle/consistency.json").items():
        if case["size1"] == 0 < case["size2"]:
            continue  # useless there, required by C2SP tlog-witness; see the next test
        good = tree.verify_consistency(
            case["size1"], case["size2"], [_raw(step) for step in case["proof"] or []],
            _raw(case["root1"]), _raw(case["root2"]),
        )  # fmt: skip
        assert good != case["wantErr"], name


def test_every_tree_follows_from_the_empty_one_with_an_empty_proof() -> None:
    assert tree.verify_consistency(0, 7, [], tree.EMPTY_ROOT, bytes(32))
    assert not tree.verify_consistency(0, 7, [bytes(32)], tree.EMPTY_ROOT, bytes(32))


def _raw(text: str | None) -> bytes:
    return base64.b64decode(text or "")


def _compact_strings() -> list[str]:
    found = []

    def walk(value: object) -> None:
        if isinstance(value, dict):
            for child in value.values():
                walk(child)
        elif isinstance(value, list):
            for child in value:
                walk(child)
        elif isinstance(value, str) and value.count(".") == 2 and value.startswith("ey"):
            found.append(value)

    names = ("4_1.rsa_v15_signature", "4_2.rsa-pss_signature", "4_3.ecdsa_signature",
             "4_4.hmac-sha2_integrity_protection", "4_5.signature_with_detached_content",
             "4_6.protecting_specific_header_fields")  # fmt: skip
    for name in names:
        walk(shared.load(f"vectors/jose-cookbook/jws/{name}.json"))
    walk(shared.load("vectors/jose-cookbook/curve25519/jws.json"))
    walk(shared.load("vectors/jose-rfc/rfc7515_appendix.json"))
    return found
