"""The log as it is listed and verified: the same for the command line and the API."""

from typing import Any

from node import base64url
from node.authority import OwnAuthority
from node.clock import iso
from node.domain.kinds import KINDS
from node.errors import NotFoundError
from node.ledger import checkpoints, entries
from node.ledger.audit import audit
from node.ledger.database import Transaction
from node.log import tree
from node.peering import keys_of_all_times
from node.progress import Progress
from node.watch.peers import stopped


def listed(own: OwnAuthority, after: int, limit: int) -> dict[str, Any]:
    """Entries after an index, oldest first: items, and the index to go on after."""
    found = own.ledger.read(lambda tx: entries.listed(tx, after + 1, limit))
    items = [
        {
            "index": e.index,
            "kind": KINDS[e.typ].name if e.typ in KINDS else e.typ,
            "iss": e.iss,
            "doc_id": e.doc_id,
            "recorded_at": iso(e.recorded_at),
        }
        for e in found
    ]
    return {"items": items, "next": str(found[-1].index) if len(found) == limit else None}


def verified(own: OwnAuthority, progress: Progress) -> dict[str, Any]:
    """Every document, signature, tree node, checkpoint and stream of the ledger, verified.

    ``problems`` are what is wrong, in words; ``without_key`` counts documents of authorities whose
    keys are not pinned.
    """
    ring = own.ledger.read(lambda tx: keys_of_all_times(tx, own.config))
    ring[own.name] = own.keys
    found = own.ledger.read(
        lambda tx: audit(tx, own.checkpoints, ring, own.crew, progress), long=True
    )
    behind = stopped(own)
    problems = [*found.problems, *([behind] if behind else [])]
    return {
        "ok": not problems,
        "size": found.size,
        "root": base64url.encode(found.root),
        "signatures": found.signatures,
        "without_key": found.without_key,
        "problems": problems,
    }


def proof(own: OwnAuthority, doc_id: str) -> dict[str, Any]:
    """The inclusion of a document in the newest checkpoint that was signed.

    Raises:
        NotFoundError: It is in none.
    """

    def query(tx: Transaction) -> dict[str, Any]:
        entry, newest = entries.by_doc_id(tx, doc_id), checkpoints.newest(tx)
        if entry is None or newest is None or entry.index >= newest.size:
            raise NotFoundError(f"{doc_id} is in no checkpoint yet")
        path = tree.inclusion(entry.index, newest.size, entries.node_getter(tx))
        return {
            "document": entry.doc_id,
            "index": entry.index,
            "leaf": base64url.encode(entry.leaf),
            "proof": [base64url.encode(node) for node in path],
            "checkpoint": newest.note,
        }

    return own.ledger.read(query)
