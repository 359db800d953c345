"""What rules may ask of a ledger. The ledger implements it; `verify` has none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

from node.domain.states import EXPORTER
from node.ids import Authority, DocId, participant_of


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

    @property
    def peer(self) -> Authority:
        """The authority at the other side."""
        return self.addressee if self.side == EXPORTER else self.iss


@dataclass(frozen=True, slots=True)
class Alert:
    """An entry of the register of alerts.

    Attributes:
        iss: Who raised it.
        subject: What it is about, e.g. ``forged``.
        first, last: The numbers meant, both included; the same for a single one.
        standing: ``raised``, ``confirmed``, ``denied`` or ``withdrawn``.
        reason: In words.
        raised_at: When it was signed, seconds.
        entry: Its place in this log.
    """

    doc_id: DocId
    iss: Authority
    subject: str
    first: str
    last: str
    standing: str
    reason: str
    raised_at: int
    entry: int

    @property
    def in_force(self) -> bool:
        """Whether it still warns."""
        return self.standing in ("raised", "confirmed")

    @property
    def refuses(self) -> bool:
        """Whether it is the word of the certificate's own participant; others only flag."""
        own = participant_of(self.iss) == self.first[:2]
        return self.in_force and (own or self.standing == "confirmed")

    @property
    def numbers(self) -> str:
        """The numbers meant, for people."""
        return self.first if self.first == self.last else f"{self.first} to {self.last}"


@dataclass(frozen=True, slots=True)
class Inquiry:
    """A question between this authority and a peer.

    Attributes:
        asker, asked: Which authority asks which.
        asks: ``genuine``, ``arrival`` or ``sources``.
        body: As it was asked.
    """

    doc_id: DocId
    number: str
    asker: Authority
    asked: Authority
    asks: str
    body: Mapping[str, Any]


class Facts(Protocol):
    """Answers about the pair and its certificates, as they stand inside one transaction."""

    def certificate(self, participant: str, number: str) -> HeldCertificate | None:
        """The certificate with this number, if held."""
        ...

    def certificate_by_id(self, doc_id: str) -> HeldCertificate | None:
        """The certificate with this doc id, if held."""
        ...

    def came_in(self, number: str) -> Decimal | None:
        """Carats that came in here under a certificate and may go out; None if it was not admitted."""
        ...

    def on_paper(self, number: str) -> Decimal | None:
        """Carats that were admitted here under a certificate on paper, if it was."""
        ...

    def re_exported(self, number: str) -> Decimal:
        """Carats already re-exported out of a certificate that came in here."""
        ...

    def inquiry(self, doc_id: str) -> Inquiry | None:
        """The inquiry with this doc id, asked here or of this authority."""
        ...

    def alert(self, doc_id: str) -> Alert | None:
        """The alert with this doc id."""
        ...

    def alerts_on(self, number: str) -> Sequence[Alert]:
        """The alerts in force that mean a number, oldest first."""
        ...

    def looked_at(self, certificate: str) -> int:
        """The entry of the last hold for alerts of a certificate; it is for all before it; or -1."""
        ...

    def disowned(self, number: str) -> bool:
        """Whether a number's own participant has called it not genuine when it was asked last."""
        ...

    def technical_number_used(self, number: str) -> bool:
        """Whether a technical certificate issued here has this number."""
        ...
