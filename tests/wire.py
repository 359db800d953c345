"""A sender that may say anything: bundles made by hand with a peer's real keys.

It keeps its own view of stream and log, in plain code of its own, so that what the node under
test accepts does not rest on the node's own sender.
"""

import base64
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from node.authority import OwnAuthority
from node.errors import ProblemError
from node.exchange.receive import Receiver
from node.jose.signing import new_jti, sign_document
from node.log import tree
from node.log.note import sign_checkpoint


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def payload(jws: bytes) -> Any:
    return json.loads(unb64(jws.split(b".")[1].decode()))


def digest(line: bytes) -> bytes:
    return hashlib.sha256(line[: line.rfind(b".")] if b"." in line else line).digest()


@dataclass
class HandLog:
    """A log of the sender's own making."""

    origin: str
    leaves: list[bytes] = field(default_factory=list)

    def add(self, doc_digest: bytes) -> int:
        inner = hashlib.sha256(self.origin.encode() + b"\n" + doc_digest).digest()
        self.leaves.append(hashlib.sha256(b"\x00" + inner).digest())
        return len(self.leaves) - 1

    def get(self, level: int, index: int) -> bytes:
        if level == 0:
            return self.leaves[index]
        left, right = self.get(level - 1, 2 * index), self.get(level - 1, 2 * index + 1)
        return hashlib.sha256(b"\x01" + left + right).digest()

    def root(self, size: int) -> bytes:
        return tree.root(size, self.get)

    def consistency(self, old: int, new: int) -> list[str]:
        return [b64(step) for step in tree.consistency(old, new, self.get)]


class Wire:
    """Speaks as `sender` to `receiver`."""

    def __init__(self, sender: OwnAuthority, receiver: OwnAuthority) -> None:
        self.sender, self.receiver = sender, receiver
        self.to = Receiver(receiver)
        self.log = HandLog(sender.checkpoints.origin)
        self.head = bytes(32)
        self.last = 0
        self.held = 0
        self.witnessed: dict[str, Any] | None = None

    def document(self, body: Any, kind: str = "certificate", **claims: Any) -> bytes:
        """A document signed by the sender; `claims` override the envelope's members, None drops."""
        now_s = self.sender.now_s()
        envelope = {
            "iss": self.sender.name, "aud": [self.receiver.name], "iat": now_s, "jti": new_jti(),
            "sandbox": True, "body": body,
        } | claims  # fmt: skip
        kept = {name: value for name, value in envelope.items() if value is not None}
        role = "msg" if kind in ("manifest", "receipt", "request") else "doc"
        typ = f"vnd.kp.{kind}.v1+jwt"
        return sign_document(self.sender.signers[role], typ, self.sender.name, kept).raw

    def checkpoint(self, size: int | None = None, root: bytes | None = None) -> str:
        size = len(self.log.leaves) if size is None else size
        signer = self.sender.signers["log"]
        public = self.sender.keys.keys[signer.kid].raw
        root = self.log.root(size) if root is None else root
        return sign_checkpoint(self.log.origin, size, root, public, signer.sign).note

    def manifest(self, lines: list[bytes], **changes: Any) -> tuple[bytes, dict[str, Any]]:
        """A manifest for lines at the next positions; `changes` override members of the body."""
        indexes = changes.pop("indexes", None) or [self.log.add(digest(line)) for line in lines]
        claims = {
            name: changes.pop(name)
            for name in ("iss", "aud", "iat", "exp", "sandbox")
            if name in changes
        }
        head = self.head
        for line in lines:
            head = hashlib.sha256(head + digest(line)).digest()
        size = len(self.log.leaves)
        body = {
            "protocol": "KPX/1",
            "stream": {
                "first": self.last + 1, "last": self.last + len(lines),
                "prev_head": b64(self.head), "head": b64(head),
            },
            "digest": b64(hashlib.sha256(b"".join(line + b"\n" for line in lines)).digest()),
            "documents": [b64(digest(line)) for line in lines],
            "indexes": indexes,
            "log": {
                "checkpoint": self.checkpoint(), "from_size": self.held,
                "consistency": self.log.consistency(self.held, size),
            },
            "witnessed": self.witnessed,
        } | changes  # fmt: skip
        now_s = self.sender.now_s()
        raw = self.document(body, "manifest", **({"iat": now_s, "exp": now_s + 300} | claims))
        return raw, body

    def post(self, manifest: bytes, lines: list[bytes]) -> dict[str, Any]:
        """Hand a bundle to the receiver; returns the receipt's payload."""
        opened = self.to.open(manifest)
        receipt = self.to.receive(opened, b"".join(line + b"\n" for line in lines))
        return dict(payload(receipt), raw=receipt)

    def send(self, *lines: bytes, **changes: Any) -> dict[str, Any]:
        """Make and hand over a bundle, and move on as a sender does with its receipt."""
        manifest, body = self.manifest(list(lines), **changes)
        receipt = self.post(manifest, list(lines))
        self.last, self.head = body["stream"]["last"], unb64(body["stream"]["head"])
        self.held = len(self.log.leaves)
        checkpoint = receipt["body"]["log"]["checkpoint"].split("\n")
        root = b64(base64.b64decode(checkpoint[2]))
        self.witnessed = {"size": int(checkpoint[1]), "root": root}
        return receipt

    def refused(self, *lines: bytes, **changes: Any) -> ProblemError:
        """Make and hand over a bundle that must be answered with a problem."""
        manifest, _ = self.manifest(list(lines), **changes)
        return self.problem(manifest, *lines)

    def problem(self, manifest: bytes, *lines: bytes) -> ProblemError:
        try:
            self.post(manifest, list(lines))
        except ProblemError as problem:
            return problem
        raise AssertionError("a receipt came back")
