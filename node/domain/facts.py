"""What rules may ask of a ledger. The ledger implements it; `verify` has none."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

from node.ids import Authority, DocId


@dataclass(frozen=True, slots=True)
class HeldCertificate:
    """A certificate in the ledger, as far as rules need it.

    Attributes:
        side: This node's side of it.
        state: Its state on this side.
        body: As it was issued; it never changes.
        figures: The body with the values of its amendment, if there is one.
        last: The newest document of each kind that answers it: doc id and body.
    """

    doc_id: DocId
    number: str
    iss: Authority
    addressee: Authority
    side: str
    state: str
    body: Mapping[str, Any]
    figures: Mapping[str, Any]
    last: Mapping[str, tuple[DocId, Mapping[str, Any]]]


class Facts(Protocol):
    """Answers about the pair and its certificates, as they stand inside one transaction."""

    def certificate(self, participant: str, number: str) -> HeldCertificate | None:
        """The certificate with this number, if held."""
        ...

    def certificate_by_id(self, doc_id: str) -> HeldCertificate | None:
        """The certificate with this doc id, if held."""
        ...

    def re_exported(self, number: str) -> Decimal:
        """Carats already re-exported out of a certificate that came in here."""
        ...

    def technical_number_used(self, number: str) -> bool:
        """Whether a technical certificate issued here has this number."""
        ...
