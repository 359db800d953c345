"""What rules may ask of the ledger, answered inside one transaction."""

from collections.abc import Iterable
from decimal import Decimal

from node.domain.facts import Alert, HeldCertificate, Inquiry
from node.ledger import certificates, entries, inquiries, register, sources
from node.ledger.database import EACH, Transaction, each


class LedgerFacts:
    """`node.domain.facts.Facts` of an authority inside one transaction."""

    def __init__(self, tx: Transaction, own: str) -> None:
        self._tx = tx
        self._own = own
        self._numbers: set[str] = set()
        self._unknown: set[str] = set()
        self._unflagged: set[str] = set()
        self._on_paper: dict[str, Decimal] | None = None
        self._met: dict[str, HeldCertificate] = {}

    def look_up(self, numbers: Iterable[str], answered: Iterable[str] = ()) -> None:
        """Ask once for a run of documents what the ledger knows of all that they name.

        Good until something is recorded: a few questions a run. What was met before is forgotten.

        Args:
            numbers: Those they take.
            answered: The doc ids of the certificates that they answer.
        """
        self._met = {}
        if ids := list(answered):
            for held in certificates.all_held(self._tx, certificates.by_doc_ids(self._tx, ids)):
                self.meet(held)
        self._on_paper = None
        self._numbers = asked = set(numbers)
        rows = self._tx.execute(
            f"SELECT number FROM certificates WHERE number IN {EACH}", (each(asked),)
        )
        self._unknown = asked - {row["number"] for row in rows}
        self._unflagged = asked - register.flagged(self._tx, asked)

    def meet(self, held: HeldCertificate) -> None:
        """A certificate that was read in this transaction already, and nothing recorded since."""
        self._met[held.doc_id] = held

    def certificate(self, participant: str, number: str) -> HeldCertificate | None:
        """The certificate with this number, if held."""
        if number in self._unknown:
            return None
        found = certificates.by_number(self._tx, number, participant)
        return None if found is None else certificates.held(self._tx, found)

    def certificate_by_id(self, doc_id: str) -> HeldCertificate | None:
        """The certificate with this doc id, if held."""
        if (met := self._met.get(doc_id)) is not None:
            return met
        found = certificates.by_doc_id(self._tx, doc_id)
        return None if found is None else certificates.held(self._tx, found)

    def came_in(self, number: str) -> Decimal | None:
        """Carats that came in here under a certificate and may go out; None if it was not admitted."""
        return certificates.came_in(self._tx, number)

    def re_exported(self, number: str) -> Decimal:
        """Carats already re-exported out of a certificate that came in here."""
        return sources.re_exported(self._tx, number)

    def on_paper(self, number: str) -> Decimal | None:
        """Carats that were admitted here under a certificate on paper, if it was."""
        if number not in self._numbers:
            paper = sources.on_paper(self._tx, number)
            return None if paper is None else paper[1]
        if self._on_paper is None:  # for all of the run, where one asks
            self._on_paper = sources.admitted_on_paper(self._tx, self._numbers)
        return self._on_paper.get(number)

    def inquiry(self, doc_id: str) -> Inquiry | None:
        """The inquiry with this doc id, asked here or of this authority."""
        return inquiries.fact(self._tx, doc_id, self._own)

    def alert(self, doc_id: str) -> Alert | None:
        """The alert with this doc id."""
        return register.by_doc_id(self._tx, doc_id)

    def alerts_on(self, number: str) -> list[Alert]:
        """The alerts in force that mean a number, oldest first."""
        return [] if number in self._unflagged else register.on(self._tx, number)

    def looked_at(self, certificate: str) -> int:
        """The entry of the last hold for alerts of a certificate; it is for all before it; or -1."""
        return register.looked_at(self._tx, certificate)

    def disowned(self, number: str) -> bool:
        """Whether a number's own participant has called it not genuine when it was asked last."""
        return inquiries.disowned(self._tx, number) is not None

    def technical_number_used(self, number: str) -> bool:
        """Whether a technical certificate issued here has this number."""
        rows = self._tx.execute(
            "SELECT d.jws FROM life l JOIN documents d USING (idx) "
            f"JOIN certificates c ON c.entry = {certificates.ENTRY_OF.format('l.certificate')} "
            "WHERE l.event LIKE 'technical-certificate:%' AND c.side = 'importer'"
        )
        return any(
            entries.claims(bytes(row["jws"]))["body"]["technical_number"] == number for row in rows
        )
