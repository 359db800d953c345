"""A month of certificates as one file that an auditor or monitoring team can check by itself."""

import io
import json
import zipfile
from calendar import monthrange
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from node.authority import OwnAuthority
from node.clock import iso, seconds
from node.domain.kinds import RECEIPT
from node.domain.states import EXPORTER
from node.ledger import certificates, checkpoints, entries, inquiries, register, sources, timeline
from node.ledger.certificates import Certificate
from node.ledger.database import Transaction
from node.office import table
from node.office.officer import day_of
from node.peering import keys_of_all_times
from node.strict_json import dumps

CONFIRMATION = "confirmation"

_README = """\
{world}Dossier of {authority}, {month}

certificates.csv   one row for each line of a certificate, the figures that count
summary.json       counts, carats and values by side and authority; what is open
documents/         every signed document of each certificate, exactly as it stands in the log
receipts/          the receipts of the peers, each of a whole bundle; it names what it took by doc id
keys/              the public key sets that verify them
checkpoint.txt     the log's signed checkpoint when this was made

To check a document, with nothing but this folder and kpnode:

    kpnode verify documents/NUMBER/FILE.jws --jwks keys/AUTHORITY.jwks.json

Compare the fingerprints of the key sets with those that the authorities read out to you.
Pictures and papers are named by SHA-256 in the documents (evidence); ask the authority for them.
"""


def chosen(tx: Transaction, month: date | None, side: str | None = None) -> Iterator[Certificate]:
    """The certificates issued in a month, of both sides, in the order they came in; or all.

    A certificate is never issued after it is recorded, so those recorded earlier need no look; the
    day before is looked at too, as it may be tomorrow elsewhere.
    """
    since = 0 if month is None else seconds(datetime(month.year, month.month, 1, tzinfo=UTC))
    for one in certificates.recorded_since(tx, max(0, since - 86400)):
        of_month = month is None or one.body["issued_on"][:7] == f"{month:%Y-%m}"
        if of_month and side in (None, one.side):
            yield one


def on_paper(tx: Transaction) -> Iterator[dict[str, str]]:
    """The rows of certificates that were admitted on paper and whose document is not here."""
    for number, doc_id in sources.admissions(tx):
        jws = entries.document(tx, doc_id)
        if jws is not None and certificates.by_number(tx, number) is None:
            yield table.paper_row(number, entries.claims(jws)["body"])


def as_csv(tx: Transaction, month: date | None, side: str | None) -> str:
    """Certificates as a table: of a month, of a side, or all; then what was admitted on paper only.

    Of a paper the month is often not known, so papers are only in a table of all.
    """
    papers = on_paper(tx) if month is None and side != EXPORTER else iter(())
    return table.to_csv([*rows(tx, chosen(tx, month, side)), *papers])


def rows(tx: Transaction, wanted: Iterable[Certificate]) -> Iterator[dict[str, str]]:
    """The rows of certificates for a table."""
    for one in wanted:
        held = certificates.held(tx, one)
        _, confirmed = held.last.get(CONFIRMATION, ("", None))
        yield from table.rows_of(held.figures, held.addressee, one.state, confirmed)


def dossier(own: OwnAuthority, month: date) -> tuple[bytes, dict[str, Any]]:
    """A ZIP file of a month, and the summary that is in it.

    Args:
        own: Whose dossier.
        month: Any day of it.
    """
    now_s = own.now_s()

    def query(tx: Transaction) -> tuple[bytes, dict[str, Any]]:
        wanted = list(chosen(tx, month))
        summary = _summary(tx, own, month, wanted, now_s)
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            world = "SANDBOX " if own.sandbox else ""
            text = _README.format(world=world, authority=own.name, month=summary["month"])
            archive.writestr("README.txt", text)
            archive.writestr("summary.json", json.dumps(summary, indent=2, ensure_ascii=False))
            archive.writestr("certificates.csv", table.to_csv(rows(tx, wanted)))
            receipts: set[str] = set()
            for one in wanted:
                folder = one.number.replace("/", "_")
                for place, (kind, doc_id) in enumerate(_documents(tx, one), 1):
                    if kind.startswith(RECEIPT.name):
                        receipts.add(doc_id)
                    elif (jws := entries.document(tx, doc_id)) is not None:
                        archive.writestr(f"documents/{folder}/{place:02}-{kind}.jws", jws)
            for doc_id in sorted(receipts):  # each is of a whole bundle
                if (jws := entries.document(tx, doc_id)) is not None:
                    archive.writestr(f"receipts/{doc_id}.jws", jws)
            for name, keys in {**keys_of_all_times(tx, own.config), own.name: own.keys}.items():
                archive.writestr(f"keys/{name}.jwks.json", dumps(keys.as_json()))
            if (signed := checkpoints.newest(tx)) is not None:
                archive.writestr("checkpoint.txt", signed.note)
        return buffer.getvalue(), summary

    return own.ledger.read(query, long=True)


def _documents(tx: Transaction, one: Certificate) -> Iterator[tuple[str, str]]:
    """Everything signed that is about a certificate: its life, receipts, inquiries and answers."""
    for event in timeline.timeline(tx, one):
        if event.document:
            yield event.what.replace(":", "-").replace(" ", "-"), event.document
    for asked in inquiries.about(tx, one.number):
        yield "inquiry", asked.doc_id
        if asked.answer:
            yield "answer", asked.answer


def _summary(
    tx: Transaction, own: OwnAuthority, month: date, wanted: list[Certificate], now_s: int
) -> dict[str, Any]:
    today = day_of(own, own.clock.now()).isoformat()
    last = month.replace(day=monthrange(month.year, month.month)[1])
    sides: dict[str, dict[str, dict[str, Any]]] = {"exports": {}, "imports": {}}
    for one in wanted:
        held = certificates.held(tx, one)
        side = sides["exports" if one.side == EXPORTER else "imports"]
        row = side.setdefault(
            one.peer,
            {"certificates": 0, "carats": Decimal(0), "value_usd": Decimal(0), "confirmed": 0,
             "unconfirmed": []},
        )  # fmt: skip
        row["certificates"] += 1
        for name in ("carats", "value_usd"):
            row[name] += Decimal(held.figures["totals"][name])
        if CONFIRMATION in held.last:
            row["confirmed"] += 1
        else:
            row["unconfirmed"].append({"number": one.number, "state": one.state})
    return {
        "authority": own.name,
        "sandbox": own.sandbox,
        "month": f"{month:%Y-%m}",
        "complete": last.isoformat() < today,
        "made_at": iso(now_s),
        **{name: _as_text(side) for name, side in sides.items()},
        "alerts": [
            {"doc_id": a.doc_id, "by": a.iss, "subject": a.subject, "numbers": a.numbers,
             "standing": a.standing}
            for a in register.listed(tx)
            if iso(a.raised_at)[:7] == f"{month:%Y-%m}"
        ],
        "inquiries": [
            {"doc_id": q.doc_id, "number": q.number, "peer": q.peer, "sent": q.sent,
             "asks": q.asks, "verdict": q.verdict}
            for q in inquiries.listed(tx, "", 10**9)
            if iso(q.asked_at)[:7] == f"{month:%Y-%m}"
        ],
    }  # fmt: skip


def _as_text(side: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Amounts as documents write them."""
    return {
        peer: {name: str(v) if isinstance(v, Decimal) else v for name, v in row.items()}
        for peer, row in sorted(side.items())
    }
