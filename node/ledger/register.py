"""The register of alerts that authorities raise, as a read model of the log."""

from collections.abc import Iterable, Mapping
from typing import Any

from node.domain.alert import RAISED, SAYINGS
from node.domain.facts import Alert
from node.domain.states import ON_PAPER
from node.ids import EVERYONE, Authority, DocId
from node.ledger import entries
from node.ledger.database import EACH, Transaction, each

_SELECT = (
    "SELECT doc_id, iss, subject, first, last, standing, reason, raised_at, entry FROM register"
)
_IN_FORCE = "standing IN ('raised', 'confirmed')"


_MEANT = (
    "EXISTS (SELECT 1 FROM register r WHERE r.participant = substr({0}, 1, 2) AND r.first <= {0} "
    "AND r.last >= {0} AND length(r.first) = length({0}) "
    f"AND r.{_IN_FORCE} LIMIT 1)"
)
"""Whether an alert in force means a number: looked up from the number, of which there are few."""

_UNSEEN = _MEANT.format("c.number").replace(
    "LIMIT 1",
    "AND r.entry > coalesce((SELECT l.entry FROM looked_at l WHERE l.certificate = c.doc_id), -1) "
    "LIMIT 1",
)
"""As `_MEANT` of a row `c`, but only an alert that nobody has looked at."""

_ANY = f"EXISTS (SELECT 1 FROM register WHERE {_IN_FORCE})"
"""Whether there is an alert at all; where there is none, no certificate is looked at."""


def enter(tx: Transaction, doc_id: str, claims: Mapping[str, Any], entry: int, _: str) -> None:
    """Bring the register up to an alert, or to what is said of one."""
    body = claims["body"]
    if body["says"] == RAISED:
        first, last = body["numbers"]["first"], body["numbers"]["last"]
        tx.execute(
            "INSERT INTO register (doc_id, entry, iss, subject, participant, first, last, reason, "
            "raised_at, standing) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (doc_id, entry, claims["iss"], body["subject"], first[:2], first, last, body["reason"],
             claims["iat"], RAISED),
        )  # fmt: skip
    else:
        alert, target = claims["re"][0], SAYINGS[body["says"]].target
        tx.execute(
            "UPDATE register SET standing = coalesce(?, standing) WHERE doc_id = ?", (target, alert)
        )
        tx.execute(
            "INSERT INTO said (alert, entry, doc_id) VALUES (?, ?, ?)", (alert, entry, doc_id)
        )


def look_at(tx: Transaction, certificate: str, entry: int) -> None:
    """Note that goods were held for the alerts that came before an entry."""
    tx.execute(
        "INSERT INTO looked_at (certificate, entry) VALUES (?, ?) "
        "ON CONFLICT (certificate) DO UPDATE SET entry = excluded.entry",
        (certificate, entry),
    )


def looked_at_too(tx: Transaction, certificate: str, paper: str) -> None:
    """Let what was looked at on a certificate's paper count for its document."""
    if (entry := looked_at(tx, paper)) >= 0:
        look_at(tx, certificate, entry)


def looked_at(tx: Transaction, certificate: str) -> int:
    """The entry of the last hold for alerts of a certificate, or -1."""
    row = tx.execute("SELECT entry FROM looked_at WHERE certificate = ?", (certificate,)).fetchone()
    return -1 if row is None else int(row["entry"])


def by_doc_id(tx: Transaction, doc_id: str) -> Alert | None:
    """One alert."""
    row = tx.execute(f"{_SELECT} WHERE doc_id = ?", (doc_id,)).fetchone()
    return None if row is None else _alert(row)


def on(tx: Transaction, number: str) -> list[Alert]:
    """The alerts in force that mean a number, oldest first."""
    rows = tx.execute(
        f"{_SELECT} WHERE participant = ? AND first <= ? AND last >= ? AND length(first) = ? "
        f"AND {_IN_FORCE} ORDER BY entry",
        (number[:2], number, number, len(number)),
    )
    return [_alert(row) for row in rows]


def listed(tx: Transaction, number: str | None = None, *, ended: bool = True) -> list[Alert]:
    """Alerts, oldest first: all, or those that mean a number."""
    where, values = ["1"], []
    if number is not None:
        where.append("participant = ? AND first <= ? AND last >= ? AND length(first) = ?")
        values = [number[:2], number, number, len(number)]
    if not ended:
        where.append(_IN_FORCE)
    rows = tx.execute(f"{_SELECT} WHERE {' AND '.join(where)} ORDER BY entry", values)
    return [_alert(row) for row in rows]


def meant(tx: Transaction, alert: Alert) -> list[str]:
    """The doc ids of the certificates held here that an alert means, by number."""
    rows = tx.execute(
        "SELECT doc_id FROM certificates WHERE participant = ? AND number BETWEEN ? AND ? "
        "AND length(number) = ? ORDER BY number",
        (alert.first[:2], alert.first, alert.last, len(alert.first)),
    )
    return [row["doc_id"] for row in rows]


def flagged(tx: Transaction, numbers: Iterable[str]) -> set[str]:
    """Those numbers that an alert in force means."""
    rows = tx.execute(
        f"SELECT n.value AS number FROM json_each(?) n WHERE {_MEANT.format('n.value')}",
        (each(numbers),),
    )
    return {row["number"] for row in rows}


def flagged_in(tx: Transaction, side: str, states: Iterable[str]) -> list[str]:
    """The numbers of certificates of a side in some states that an alert in force means."""
    rows = tx.execute(
        f"SELECT number FROM certificates WHERE {_ANY} AND side = ? AND state IN {EACH} "
        f"AND {_MEANT.format('number')} ORDER BY number",
        (side, each(states)),
    )
    return [row["number"] for row in rows]


def unseen_in(tx: Transaction, side: str, states: Iterable[str], limit: int) -> list[str]:
    """As `flagged_in`, but only where nobody has looked at one of the alerts, so many at most."""
    rows = tx.execute(
        f"SELECT number FROM certificates c WHERE {_ANY} AND side = ? AND state IN {EACH} "
        f"AND {_UNSEEN} ORDER BY number LIMIT ?",
        (side, each(states), limit),
    )
    return [row["number"] for row in rows]


def unseen_on_paper(tx: Transaction) -> list[str]:
    """The numbers of goods here on a paper alone that an alert means which nobody has looked at."""
    rows = tx.execute(
        f"SELECT number FROM papers c WHERE {_ANY} AND state = ? "
        f"AND number NOT IN (SELECT number FROM certificates) AND {_UNSEEN} ORDER BY number",
        (ON_PAPER,),
    )
    return [row["number"] for row in rows]


def weightiest(tx: Transaction, number: str) -> tuple[Alert, int]:
    """Of the alerts in force that mean a number, one that refuses, if there is one; and how many."""
    row = tx.execute(
        f"{_SELECT.replace(' FROM', ', count(*) OVER () AS n FROM')} WHERE participant = ? "
        f"AND first <= ? AND last >= ? AND length(first) = ? AND {_IN_FORCE} "
        "ORDER BY standing = 'confirmed' OR substr(iss, 1, 2) = participant DESC, entry LIMIT 1",
        (number[:2], number, number, len(number)),
    ).fetchone()
    *alert, count = row
    return _alert(alert), count


def newest(tx: Transaction) -> int:
    """The entry of the last document about an alert, or -1: what it changes, changes judgements."""
    (last,) = tx.execute(
        "SELECT max(coalesce((SELECT max(entry) FROM register), -1), "
        "coalesce((SELECT max(entry) FROM said), -1))"
    ).fetchone()
    return int(last)


def said_of(tx: Transaction, alert: str) -> list[tuple[str, Mapping[str, Any]]]:
    """What was said of an alert, oldest first: doc ids and payloads."""
    rows = tx.execute(
        "SELECT s.doc_id, d.jws FROM said s JOIN documents d ON d.idx = s.entry "
        "WHERE s.alert = ? ORDER BY s.entry",
        (alert,),
    )
    return [(row["doc_id"], entries.claims(bytes(row["jws"]))) for row in rows]


def for_newcomer(tx: Transaction, authority: str) -> list[str]:
    """What an authority has told everyone about alerts still in force, for a peer that is new.

    What went to some only stays with them.
    """
    rows = tx.execute(
        "SELECT d.doc_id, d.jws FROM register r JOIN documents d ON d.idx = r.entry "
        f"WHERE d.iss = ? AND {_IN_FORCE} UNION "
        "SELECT d.doc_id, d.jws FROM said s JOIN documents d ON d.idx = s.entry "
        f"JOIN register r ON r.doc_id = s.alert WHERE d.iss = ? AND r.{_IN_FORCE}",
        (authority, authority),
    )
    told = [(row["doc_id"], entries.claims(bytes(row["jws"]))) for row in rows]
    told.sort(key=lambda one: (one[1]["iat"], "re" in one[1]))
    return [doc_id for doc_id, claims in told if claims["aud"] == [EVERYONE]]


def forget(tx: Transaction) -> None:
    """Before the log is folded again."""
    for table in ("register", "said", "looked_at"):
        tx.execute(f"DELETE FROM {table}")


def _alert(row: Iterable[Any]) -> Alert:
    doc_id, iss, *rest = row
    return Alert(DocId(doc_id), Authority(iss), *rest)
