"""Runs in an environment of its own (see `bench.as2`): AS2 messages a second, in memory.

python as2_peer.py COUNT < DOCUMENT

For each: build and sign, receive and verify, make the signed receipt (MDN), verify that.
"""

import sys
import time
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from pyas2lib.as2 import Mdn, Message, Organization, Partner


def identity(name: str) -> tuple[bytes, bytes]:
    """A private key with its certificate, and the certificate, as PEM; RSA as is usual in AS2."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"bench"),
    )
    return private + certificate, certificate


def main(count: int, document: bytes) -> float:
    """Messages a second, each answered."""
    (one_key, one), (other_key, other) = identity("one"), identity("other")
    sender = Organization(as2_name="one", sign_key=one_key, sign_key_pass="bench")
    recipient = Organization(as2_name="other", sign_key=other_key, sign_key_pass="bench")
    signed = {"sign": True, "digest_alg": "sha256", "mdn_mode": "SYNC", "mdn_digest_alg": "sha256"}
    to = Partner(as2_name="other", verify_cert=other, validate_certs=False, **signed)
    by = Partner(as2_name="one", verify_cert=one, validate_certs=False, **signed)
    began = time.perf_counter()
    for _ in range(count):
        sent = Message(sender, to)
        sent.build(document)
        received = Message()
        status, exception, receipt = received.parse(
            sent.headers_str + b"\r\n" + sent.content, lambda _: recipient, lambda _: by
        )
        assert status == "processed", exception
        answer = Mdn()
        status, detail = answer.parse(
            receipt.headers_str + b"\r\n" + receipt.content, lambda *_, sent=sent: sent
        )
        assert status == "processed", detail
    return count / (time.perf_counter() - began)


if __name__ == "__main__":
    print(main(int(sys.argv[1]), sys.stdin.buffer.read()))
