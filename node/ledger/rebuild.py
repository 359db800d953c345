"""All read models again, from the documents of the log and the receipts that are held."""

from node import base64url
from node.domain.kinds import KINDS
from node.jose.strict import doc_digest
from node.ledger import drafts, entries, folding, papers, streams
from node.ledger.database import Transaction
from node.ledger.folding import Logged


def rebuild(tx: Transaction, own: str) -> int:
    """Forget states, drafts, papers, re-exports and outcomes, and fold the log again.

    Args:
        tx: A writing transaction.
        own: This node's authority.

    Returns:
        How many documents took part.
    """
    for forget in (folding.forget, drafts.forget, papers.forget, streams.forget_outcomes):
        forget(tx)
    count = 0
    for entry in entries.walk(tx):
        if entry.jws is not None and (kind := KINDS[entry.typ]).speaker:
            claims = entries.claims(entry.jws)
            folding.enter(tx, [Logged(kind.name, entry.doc_id, claims, entry.index)], own)
            count += 1
    held = tx.execute(
        "SELECT peer, jws, at FROM receipts WHERE direction = 'held' ORDER BY at, rowid"
    )
    for peer, jws, at in held.fetchall():
        body = entries.claims(bytes(jws))["body"]
        receipt = base64url.encode(doc_digest(bytes(jws)))
        streams.settle(tx, peer, [*body["results"], *body.get("rejudged", ())], receipt, at)
        count += 1
    return count
