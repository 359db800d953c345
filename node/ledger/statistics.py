"""Counts over the ledger, for those who watch it."""

from node.ledger.database import Transaction


def by_state(tx: Transaction) -> dict[str, dict[str, int]]:
    """Certificates by side and stored state.

    What a receipt says of a certificate is not counted here: one that is delivered counts as issued.
    """
    counts: dict[str, dict[str, int]] = {"exporter": {}, "importer": {}}
    for side, state, count in tx.execute(
        "SELECT side, state, count(*) FROM certificates INDEXED BY certificates_state "
        "GROUP BY side, state"
    ):
        counts[side][state] = count
    return counts


def outcomes(tx: Transaction) -> dict[tuple[str, str], int]:
    """What peers' receipts said of documents sent to them, by peer and outcome."""
    rows = tx.execute("SELECT peer, outcome, count(*) FROM outcomes GROUP BY peer, outcome")
    return {(peer, outcome): count for peer, outcome, count in rows}


def refused(tx: Transaction) -> dict[tuple[str, str], int]:
    """Documents in quarantine, by peer and first code."""
    rows = tx.execute(
        "SELECT peer, json_extract(errors, '$[0].code'), count(*) FROM quarantine GROUP BY 1, 2"
    )
    return {(peer, code): count for peer, code, count in rows}


def latencies(tx: Transaction, newest: int = 100) -> list[tuple[str, float, float]]:
    """Median and 95th percentile of the last deliveries, seconds, by peer."""
    found = []
    for (peer,) in tx.execute("SELECT authority FROM peers ORDER BY authority").fetchall():
        rows = tx.execute(
            "SELECT took_s FROM deliveries WHERE peer = ? AND took_s IS NOT NULL "
            "ORDER BY id DESC LIMIT ?",
            (peer, newest),
        )
        if times := sorted(row["took_s"] for row in rows):
            found.append((peer, times[len(times) // 2], times[int(0.95 * (len(times) - 1))]))
    return found
