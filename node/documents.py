"""A type per state of trust: bytes → `UnverifiedJws` → `SignedDocument` → `Document`.

Only `node.jose` makes the first two, only `node.schema` the last. If it type-checks, it was verified.
Tuples, as thousands are made a second: a frozen dataclass takes three times as long.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from node import base64url, strict_json
from node.ids import Authority, DocId, Kid

MAX_DOCUMENT_BYTES = 256 * 1024
MAX_TRANSPORT_BYTES = 1024 * 1024
"""Manifests and receipts grow with the number of documents they name."""


class UnverifiedJws(NamedTuple):
    """A compact JWS that parsed strictly. Nothing in it is to be believed yet.

    Attributes:
        raw: The bytes as received.
        typ: Kind and version as claimed.
        signature: Raw, of any length.
        claimed_issuer: Whose key set to look in; ``""`` where there is none.
        doc_id: Identity of the document, whoever signed it.
        unverified: The payload; for `node.jose.verify` alone.
    """

    raw: bytes
    alg: str
    kid: Kid
    typ: str
    doc_id: DocId
    digest: bytes
    signature: bytes
    claimed_issuer: str
    unverified: Mapping[str, Any]


class SignedDocument(NamedTuple):
    """Authentic: signed by `iss` with a pinned key of the right role. Form and rules unjudged.

    Attributes:
        raw: The exact bytes, to be stored and sent on unchanged.
        digest: SHA-256 over the signing input, 32 bytes.
        claims: The payload; of a certificate that was judged, those members that are still asked for
            (`node.exchange.judge`).
    """

    raw: bytes
    doc_id: DocId
    digest: bytes
    typ: str
    iss: Authority
    kid: Kid
    claims: Mapping[str, Any]


def payload(raw: bytes) -> dict[str, Any]:
    """The payload of a document that was verified before; of a refused one, what can be read of it.

    Raises:
        ValueError, IndexError: Nothing can be.
    """
    claims: dict[str, Any] = strict_json.reread(base64url.decode(raw.split(b".")[1]))
    return claims


class Document(NamedTuple):
    """Authentic, and of the form its kind's schema demands. Rules unjudged."""

    signed: SignedDocument
    kind: str
    aud: tuple[Authority, ...]
    iat: int
    re: tuple[DocId, ...]
    sandbox: bool
    body: Mapping[str, Any]

    @property
    def iss(self) -> Authority:
        """The authority that signed."""
        return self.signed.iss

    @property
    def doc_id(self) -> DocId:
        """The document's identity."""
        return self.signed.doc_id


class Content(Protocol):
    """What rules judge: a received `Document`, or a `Draft` about to be signed."""

    @property
    def kind(self) -> str:
        """The kind's name."""

    @property
    def iss(self) -> Authority:
        """The authority that signed or is about to."""

    @property
    def aud(self) -> tuple[Authority, ...]:
        """The addressees."""

    @property
    def iat(self) -> int:
        """When it was signed, seconds since 1970."""

    @property
    def re(self) -> tuple[DocId, ...]:
        """The documents it answers."""

    @property
    def doc_id(self) -> DocId | None:
        """Its identity; None while it is not signed."""

    @property
    def body(self) -> Mapping[str, Any]:
        """The members of its kind, of the right form."""


class Draft(NamedTuple):
    """A document this authority is about to sign; of the right form, rules unjudged."""

    kind: str
    iss: Authority
    aud: tuple[Authority, ...]
    iat: int
    body: Mapping[str, Any]
    re: tuple[DocId, ...] = ()
    doc_id: DocId | None = None
