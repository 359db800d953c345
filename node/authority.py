"""This node's own authority: who it is, its signers, its ledger, its pinned peers.

`office` and `exchange` are given one of these; it is where a document is signed and recorded.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from node.clock import Clock, seconds
from node.config import Config
from node.crew import Crew
from node.documents import SignedDocument
from node.domain.context import Context
from node.domain.kinds import KINDS, Kind
from node.domain.reference import Reference, reference
from node.ids import EVERYONE, Authority
from node.jose.keys import KeySet
from node.jose.signing import Signer, new_jti, sign_document
from node.ledger import entries, folding, peers, profiles, streams
from node.ledger.checkpoints import CheckpointKeeper
from node.ledger.database import Ledger, Transaction
from node.ledger.facts import LedgerFacts
from node.ledger.folding import Logged
from node.peering import PeerBook, open_book

Fault = Callable[[str], None]
"""Called with the name of each effect before it happens; tests end the process there."""


def no_fault(_: str) -> None:
    """What the shipped command uses."""


@dataclass(slots=True)
class OwnAuthority:
    """Everything that makes a node the node of its authority. `book` is renewed on reload."""

    config: Config
    keys: KeySet
    signers: Mapping[str, Signer]
    ledger: Ledger
    checkpoints: CheckpointKeeper
    clock: Clock
    book: PeerBook
    crew: Crew
    fault: Fault = no_fault

    @property
    def name(self) -> Authority:
        """The authority's code."""
        return self.config.node.authority

    @property
    def sandbox(self) -> bool:
        """Whether this node lives in the sandbox."""
        return self.config.node.sandbox

    def now_s(self) -> int:
        """The present second."""
        return seconds(self.clock.now())

    def reference(self, tx: Transaction) -> Reference:
        """The dated facts that rules go by now."""
        return reference(self.config.reference, profiles.texts(tx))

    def context(self, tx: Transaction | None = None) -> Context:
        """The circumstances in which what comes in is judged now; the ledger is asked later."""
        known = self.reference(tx) if tx else self.ledger.read(self.reference)
        return Context(self.clock.now(), reference=known)

    def facts(self, tx: Transaction) -> LedgerFacts:
        """What rules may ask of the ledger."""
        return LedgerFacts(tx, self.name)

    def reload_peers(self, config: Config) -> None:
        """Take over the peers of a changed `peers.toml`; ``[node]`` and ``[tls]`` need a restart.

        Raises:
            ConfigError: ``bad-certificate``; the former peers stay.
        """
        config = replace(config, node=self.config.node, tls=self.config.tls)
        book = self.ledger.write(lambda tx: open_book(tx, config, self.now_s()))
        self.config, self.book = config, book

    def claims(
        self,
        aud: Sequence[str],
        body: Mapping[str, Any],
        *,
        iat: int,
        exp: int | None = None,
        re: Sequence[str] = (),
    ) -> dict[str, Any]:
        """The payload of a document of this authority, members in the protocol's order."""
        claims: dict[str, Any] = {"iss": self.name, "aud": sorted(aud), "iat": iat}
        if exp is not None:
            claims["exp"] = exp
        claims["jti"] = new_jti()
        if re:
            claims["re"] = list(re)
        if self.sandbox:
            claims["sandbox"] = True
        claims["body"] = body
        return claims

    def seal(self, kind: Kind, claims: Mapping[str, Any]) -> SignedDocument:
        """Sign a payload with the key of the kind's role."""
        return sign_document(self.signers[kind.role], kind.typ, self.name, claims)

    def sign(
        self,
        kind: Kind,
        aud: Sequence[str],
        body: Mapping[str, Any],
        *,
        iat: int,
        exp: int | None = None,
    ) -> SignedDocument:
        """Make and sign a document that answers none."""
        return self.seal(kind, self.claims(aud, body, iat=iat, exp=exp))

    def log(self, tx: Transaction, signed: Sequence[SignedDocument], at_s: int) -> int:
        """Put documents into the log, in order, and bring the read models up to them.

        A receipt changes no read model here.

        Returns:
            The index of the first.
        """
        if not signed:
            return entries.size(tx)
        first = entries.append(tx, signed, self.checkpoints.origin, at_s)
        kinds = [KINDS[one.typ] for one in signed]
        logged = [
            Logged(kind.name, one.doc_id, one.claims, index)
            for index, (kind, one) in enumerate(zip(kinds, signed, strict=True), first)
            if kind.speaker
        ]
        folding.enter(tx, logged, self.name)
        return first

    def publish(self, tx: Transaction, signed: Sequence[SignedDocument], at_s: int) -> int:
        """As `log`, and queue the documents for each of their addressees."""
        first = self.log(tx, signed, at_s)
        queued: dict[str, list[str]] = {}
        for one in signed:
            for peer in self._addressees(one.claims["aud"]):
                queued.setdefault(peer, []).append(one.doc_id)
        for peer, doc_ids in queued.items():
            streams.enqueue(tx, peer, doc_ids, at_s)
        return first

    def send_again(self, tx: Transaction, peer: str, doc_id: str, now: datetime) -> None:
        """Queue a document once more for a peer that lacks it, unless it still waits anyway."""
        state = peers.state(tx, peer)
        acknowledged = state.acknowledged if state else 0
        if doc_id not in streams.waiting_ids(tx, peer, acknowledged):
            streams.enqueue(tx, peer, [doc_id], seconds(now))

    def _addressees(self, aud: Sequence[str]) -> Sequence[str]:
        """Whose streams a document goes into; ``*`` is every peer, also one that is stopped now."""
        return [peer.authority for peer in self.config.peers] if EVERYONE in aud else aud
