"""The register of alerts that authorities raise, as a read model of the log."""

from collections.abc import Iterable, Mapping
from typing import Any

from node.domain.alert import RAISED, SAYINGS
from node.domain.facts import Alert
from node.ids import Authority, DocId
from node.ledger import entries
from node.ledger.database import Transaction

_SELECT = "SELECT doc_id, iss, subject, first, last, standing, reason, raised_at FROM register"
_IN_FORCE = "standing IN ('raised', 'confirmed')"


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


def look_at(tx: Transaction, certificate: str, alert: str, record: str) -> None:
    """Note that goods were held on account of an alert."""
    tx.execute(
        "INSERT OR IGNORE INTO looked_at (certificate, alert, record) VALUES (?, ?, ?)",
        (certificate, alert, record),
    )


def looked_at(tx: Transaction, certificate: str) -> frozenset[str]:
    """The alerts on account of which a certificate was held."""
    rows = tx.execute("SELECT alert FROM looked_at WHERE certificate = ?", (certificate,))
    return frozenset(row["alert"] for row in rows)


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


def all_meant(tx: Transaction) -> set[str]:
    """The doc ids of all certificates held here that an alert in force means."""
    return {doc_id for alert in listed(tx, ended=False) for doc_id in meant(tx, alert)}


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


def of_authority(tx: Transaction, authority: str) -> list[str]:
    """The documents of an authority about alerts still in force: for a peer that is new."""
    rows = tx.execute(
        f"SELECT doc_id, entry FROM register WHERE iss = ? AND {_IN_FORCE} UNION "
        "SELECT s.doc_id, s.entry FROM said s JOIN documents d ON d.idx = s.entry "
        f"JOIN register r ON r.doc_id = s.alert WHERE d.iss = ? AND r.iss = ? AND r.{_IN_FORCE} "
        "ORDER BY 2",
        (authority, authority, authority),
    )
    return [row["doc_id"] for row in rows]


def forget(tx: Transaction) -> None:
    """Before the log is folded again."""
    for table in ("register", "said", "looked_at"):
        tx.execute(f"DELETE FROM {table}")


def _alert(row: Iterable[Any]) -> Alert:
    doc_id, iss, *rest = row
    return Alert(DocId(doc_id), Authority(iss), *rest)
