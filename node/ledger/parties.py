"""Exporters and importers: each name once, so that certificates are found by it."""

from collections.abc import Iterable

from node.ledger.database import EACH, Transaction, each


def enter(tx: Transaction, names: Iterable[str]) -> dict[str, int]:
    """The keys of names; new ones are added, in this order."""
    names = list(dict.fromkeys(names))
    known = _known(tx, names)
    if new := [name for name in names if name not in known]:
        tx.executemany(
            "INSERT INTO parties (name, folded) VALUES (?, ?)",
            [(name, name.casefold()) for name in new],
        )
        known |= _known(tx, new)
    return known


def _known(tx: Transaction, names: list[str]) -> dict[str, int]:
    rows = tx.execute(f"SELECT name, party FROM parties WHERE name IN {EACH}", (each(names),))
    return {row["name"]: row["party"] for row in rows}


def named(tx: Transaction, part: str) -> list[int]:
    """The keys of those whose name has a text in it, in any case."""
    rows = tx.execute("SELECT party FROM parties WHERE instr(folded, ?)", (part.casefold(),))
    return [row["party"] for row in rows]
