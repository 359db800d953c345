"""The protocol's own worked example, byte for byte, made and read by this node's code."""

import base64
import json
from typing import Any

import pytest

from node import base64url, bundle
from node.documents import MAX_TRANSPORT_BYTES
from node.domain.kinds import CERTIFICATE, CONFIRMATION, KINDS, MANIFEST, RECEIPT, Kind
from node.jose.keys import read_key_set
from node.jose.signing import Ed25519Signer, sign_document
from node.jose.strict import parse
from node.jose.verify import verify, verify_raw
from node.log import tree
from node.log.chain import START
from node.log.note import read_checkpoint, sign_checkpoint, vkey
from node.schema.validation import check_document
from tests import shared
from tests.wire import payload

KIND = {
    "certificate": CERTIFICATE,
    "manifest": MANIFEST,
    "receipt": RECEIPT,
    "confirmation": CONFIRMATION,
}


@pytest.fixture(scope="module")
def example() -> Any:
    return shared.load("vectors/kpx/example.json")


def signer(example: Any, authority: str, role: str) -> Ed25519Signer:
    from jwt.algorithms import OKPAlgorithm

    jwk = next(k for k in example["keys"][authority]["keys"] if k["kp_role"] == role)
    return Ed25519Signer(OKPAlgorithm.from_jwk(dict(jwk)))


def ring(example: Any) -> Any:
    return {a: read_key_set(json.dumps(s).encode()) for a, s in example["public"].items()}


def log_keys(example: Any, authority: str) -> Any:
    key = ring(example)[authority].with_role("log")[0]
    return [(key.raw, lambda message, signature: verify_raw(key, message, signature))]


@pytest.mark.parametrize("name", KIND)
def test_each_document_is_authentic_and_of_the_right_form(example: Any, name: str) -> None:
    kind, raw = KIND[name], example[name]["jws"].encode()

    document = check_document(
        verify(parse(raw, MAX_TRANSPORT_BYTES), ring(example), kind.role), kind.name
    )

    assert document.doc_id == example[name]["doc_id"]


@pytest.mark.parametrize("name", KIND)
def test_each_document_is_made_again_byte_for_byte(example: Any, name: str) -> None:
    kind: Kind = KIND[name]
    raw = example[name]["jws"].encode()
    claims = payload(raw)

    again = sign_document(
        signer(example, claims["iss"], kind.role), kind.typ, claims["iss"], claims
    )

    assert again.raw == raw


def test_fingerprints_and_vkeys(example: Any) -> None:
    for authority, key_set in ring(example).items():
        assert key_set.fingerprint == example["fingerprints"][authority]
        origin = f"kpx-sandbox/{authority}"
        assert vkey(origin, key_set.with_role("log")[0].raw) == example["vkeys"][authority]


def test_heads_leaves_and_bundle(example: Any) -> None:
    certificate = example["certificate"]["jws"].encode()
    doc_digest = base64url.decode(example["certificate"]["doc_id"])

    assert base64url.encode(START.head) == example["stream"]["head_0"]
    assert base64url.encode(START.then(doc_digest).head) == example["stream"]["head_1"]
    for authority, leaf in example["certificate"]["leaf_in"].items():
        made = tree.entry_leaf(f"kpx-sandbox/{authority}", doc_digest)
        assert base64url.encode(made) == leaf
    raw = bundle.assemble(example["manifest"]["jws"].encode(), [certificate])
    assert raw == example["bundle"].encode()
    rest = raw.partition(b"\n")[2]
    body = payload(raw.partition(b"\n")[0])["body"]
    bundle.check_against_manifest(body, bundle.split(rest), rest)


def test_the_log_after_the_confirmation(example: Any) -> None:
    expected = example["log_EU-BE_after_confirmation"]
    nodes: dict[tuple[int, int], bytes] = {}

    def get(level: int, index: int) -> bytes:
        return nodes[level, index]

    documents = [example[name]["doc_id"] for name in ("certificate", "receipt", "confirmation")]
    edge = tree.Edge()
    for size, doc_id in enumerate(documents):
        leaf = tree.entry_leaf("kpx-sandbox/EU-BE", base64url.decode(doc_id))
        assert base64url.encode(leaf) == expected["leaves"][size]
        nodes.update({(level, i): h for level, i, h in edge.append(leaf)})

    assert base64url.encode(tree.root(3, get)) == expected["root"]
    assert edge.root() == tree.root(3, get)
    inclusion = expected["inclusion_of_certificate"]["proof"]
    assert [base64url.encode(h) for h in tree.inclusion(0, 3, get)] == inclusion
    consistency = expected["consistency_1_3"]["proof"]
    assert [base64url.encode(h) for h in tree.consistency(1, 3, get)] == consistency
    key = signer(example, "EU-BE", "log")
    public = ring(example)["EU-BE"].with_role("log")[0].raw
    made = sign_checkpoint("kpx-sandbox/EU-BE", 3, tree.root(3, get), public, key.sign)
    assert made.note == expected["checkpoint"]


def test_the_checkpoints_verify(example: Any) -> None:
    for name, authority in (("manifest", "RU"), ("receipt", "EU-BE")):
        note = payload(example[name]["jws"].encode())["body"]["log"]["checkpoint"]

        point = read_checkpoint(note, f"kpx-sandbox/{authority}", log_keys(example, authority))

        assert point.size == 1
        assert base64.b64encode(point.root).decode() in note


def test_every_kind_of_the_example_is_known(example: Any) -> None:
    assert {kind.typ for kind in KIND.values()} <= KINDS.keys()
