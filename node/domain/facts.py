"""What rules may ask of a ledger. The ledger implements it; `verify` has none."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

from node.ids import Authority, DocId


@dataclass(frozen=True, slots=True)
class HeldCertificate:
    """A certificate in the ledger, as far as rules need it."""

    doc_id: DocId
    number: str
    iss: Authority
    addressee: Authority
    body: Mapping[str, Any]
    confirmed: bool


class Facts(Protocol):
    """Answers about the pair and its certificates, as they stand inside one transaction."""

    def certificate(self, participant: str, number: str) -> HeldCertificate | None:
        """The certificate with this number, if held."""
        ...

    def document_is_certificate(self, doc_id: str) -> HeldCertificate | None:
        """The certificate with this doc id, if held."""
        ...

    def re_exported(self, number: str) -> Decimal:
        """Carats already re-exported out of a certificate that came in here."""
        ...
