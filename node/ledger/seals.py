"""Seals: which certificate's goods a seal on a container, a parcel or a box belongs to."""

from collections.abc import Iterable, Mapping
from typing import Any

from node.ledger.database import Transaction

OF = "(SELECT entry FROM seals WHERE seal = ?)"
"""The entries of the certificates that a seal is named on."""


def enter(tx: Transaction, named: Iterable[tuple[int, Mapping[str, Any]]]) -> None:
    """Put on record the seals that documents name.

    Args:
        tx: The transaction of the documents.
        named: The entry of a certificate, and a body that names its containers: its own, or that of
            a document about it.
    """
    tx.executemany(
        "INSERT OR IGNORE INTO seals (seal, entry) VALUES (?, ?)",
        [
            (container["seal"], entry)
            for entry, body in named
            for container in body.get("containers", ())
        ],
    )
