"""Inquiries and alerts between authorities, as they are told: the same for command line, API, pages."""

from typing import Any

from node.authority import OwnAuthority
from node.clock import iso
from node.domain.facts import Alert
from node.errors import NotFoundError
from node.ledger import certificates, entries, inquiries, register
from node.ledger.database import Transaction
from node.ledger.inquiries import Asked


def alert_as_json(one: Alert) -> dict[str, Any]:
    """An alert, and what it does to certificates: it refuses, flags, or nothing any more."""
    return {
        "doc_id": one.doc_id,
        "by": one.iss,
        "subject": one.subject,
        "first": one.first,
        "last": one.last,
        "numbers": one.numbers,
        "standing": one.standing,
        "effect": "refuses" if one.refuses else "flags" if one.in_force else "none",
        "reason": one.reason,
        "raised_at": iso(one.raised_at),
    }


def alerts(own: OwnAuthority, number: str | None = None, *, ended: bool = False) -> dict[str, Any]:
    """The register: alerts in force, or all; those that mean a number, or any."""
    found = own.ledger.read(lambda tx: register.listed(tx, number, ended=ended))
    return {"items": [alert_as_json(one) for one in found], "next": None}


def alert(own: OwnAuthority, doc_id: str) -> dict[str, Any]:
    """One alert: to whom, with which evidence, what was said of it, which certificates it means.

    Raises:
        NotFoundError: There is none.
    """

    def query(tx: Transaction) -> dict[str, Any]:
        found, jws = register.by_doc_id(tx, doc_id), entries.document(tx, doc_id)
        if found is None or jws is None:
            raise NotFoundError(f"no alert {doc_id}; see kpnode alert list --all")
        claims = entries.claims(jws)
        meant = [certificates.by_doc_id(tx, one) for one in register.meant(tx, found)]
        return {
            **alert_as_json(found),
            "to": claims["aud"],
            "evidence": claims["body"].get("evidence", []),
            "said": [
                {"doc_id": said, "by": told["iss"], "at": iso(told["iat"]),
                 "says": told["body"]["says"], "reason": told["body"]["reason"],
                 "evidence": told["body"].get("evidence", [])}
                for said, told in register.said_of(tx, doc_id)
            ],
            "certificates": [{"number": c.number, "state": c.state} for c in meant if c],
        }  # fmt: skip

    return own.ledger.read(query)


def inquiry_as_json(one: Asked) -> dict[str, Any]:
    """An inquiry, with the verdict of its answer if there is one."""
    return {
        "doc_id": one.doc_id,
        "number": one.number,
        "asks": one.asks,
        "way": "to" if one.sent else "from",
        "peer": one.peer,
        "asked_at": iso(one.asked_at),
        "answer_by": one.answer_by,
        "again": one.again,
        "verdict": one.verdict,
        "answer": one.answer,
        "answered_at": iso(one.answered_at) if one.answered_at else None,
    }


def inquiries_after(own: OwnAuthority, after: str = "", limit: int = 1000) -> dict[str, Any]:
    """Inquiries both ways, oldest first, after one of them."""

    def query(tx: Transaction) -> list[Asked]:
        if after and inquiries.by_doc_id(tx, after) is None:
            raise NotFoundError(f"no inquiry {after} to go on after; see kpnode inquiry list")
        return inquiries.listed(tx, after, limit)

    found = own.ledger.read(query)
    more = found[-1].doc_id if len(found) == limit else None
    return {"items": [inquiry_as_json(one) for one in found], "next": more}


def inquiry(own: OwnAuthority, doc_id: str) -> dict[str, Any]:
    """One inquiry: what was asked, and what was answered.

    Raises:
        NotFoundError: There is none.
    """

    def query(tx: Transaction) -> dict[str, Any]:
        found = inquiries.by_doc_id(tx, doc_id)
        if found is None:
            raise NotFoundError(f"no inquiry {doc_id}; see kpnode inquiry list")
        answered = inquiries.body(tx, found.answer) if found.answer else None
        question = inquiries.body(tx, doc_id)
        return {**inquiry_as_json(found), "question": question, "answered": answered}

    return own.ledger.read(query)
