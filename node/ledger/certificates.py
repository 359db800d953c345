"""The certificates as read models.

Everything here follows from the log (`node.ledger.folding`). What a receipt says of a certificate
is read beside it and changes no stored state.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from node.domain import states
from node.domain.facts import HeldCertificate
from node.domain.kinds import RECORD
from node.domain.states import EXPORTER, IMPORTER
from node.errors import NotFoundError
from node.ids import Authority, DocId
from node.ledger import (
    drafts,
    entries,
    inquiries,
    life,
    papers,
    parties,
    register,
    seals,
    sources,
)
from node.ledger.database import EACH, Transaction, each
from node.ledger.life import Event


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate on this authority's side of a pair.

    Attributes:
        peer: The authority at the other side.
        iss, addressee: Who signed it, and for whom.
        outcome: What the peer's last receipt says of it (exporter's side), or ``""``.
        errors: The peer's findings where it refused.
        state: A state of `node.domain.states`.
        body: As it was issued.
    """

    participant: str
    number: str
    doc_id: str
    side: str
    peer: str
    outcome: str
    errors: list[dict[str, Any]]
    state: str
    body: Mapping[str, Any]
    recorded_at: int
    iss: Authority
    addressee: Authority


_SELECT = (
    "SELECT c.participant, c.number, c.doc_id, c.side, c.peer, coalesce(o.outcome, '') AS outcome, "
    "coalesce(o.errors, '[]') AS errors, c.state, d.jws, e.recorded_at "
    "FROM certificates c JOIN documents d ON d.idx = c.entry JOIN entries e ON e.idx = c.entry "
    "LEFT JOIN outcomes o ON o.doc_id = c.doc_id AND o.peer = c.peer AND c.side = 'exporter'"
)


_SHOWN = (
    "side || '/' || state || '/' || coalesce((SELECT o.outcome FROM outcomes o "
    "WHERE o.doc_id = certificates.doc_id AND o.peer = certificates.peer "
    "AND certificates.side = 'exporter'), '')"
)
"""What `states.shown_in` names."""

MANY_PARTIES = 200

ENTRY_OF = "(SELECT idx FROM documents WHERE doc_id = {})"
ENTRIES_OF = f"(SELECT idx FROM documents WHERE doc_id IN {EACH})"


def came_in(tx: Transaction, number: str) -> Decimal | None:
    """Carats admitted here under a certificate, as adjusted; None if none were."""
    certificate = by_number(tx, number)
    if (
        certificate is not None
        and certificate.side == IMPORTER
        and certificate.state in sources.ADMITTED
    ):
        carats = Decimal(held(tx, certificate).figures["totals"]["carats"])
    elif (paper := sources.on_paper(tx, number)) is not None:
        carats = paper[1]
    else:
        return None
    return carats + sources.adjusted(tx, number)


def held(tx: Transaction, certificate: Certificate) -> HeldCertificate:
    """A certificate as rules see it, with what has answered it so far."""
    return _held(certificate, life.answers(tx, [certificate.doc_id]).get(certificate.doc_id, ()))


def all_held(tx: Transaction, found: Iterable[Certificate]) -> list[HeldCertificate]:
    """As `held`, for several; one question for all."""
    certificates = list(found)
    answers = life.answers(tx, [one.doc_id for one in certificates])
    return [_held(one, answers.get(one.doc_id, ())) for one in certificates]


def _held(certificate: Certificate, answers: Iterable[Event]) -> HeldCertificate:
    last: dict[str, tuple[DocId, Mapping[str, Any]]] = {}
    for event in answers:
        name = event.what if event.what.startswith(RECORD.name) else event.what.partition(":")[0]
        body = event.body
        if name == "record:inspection" and name in last:
            body = _with_findings(last[name][1], body)
        last[name] = (DocId(event.document), body)
    amended = last["amendment"][1]["amended"] if "amendment" in last else {}
    assert certificate.side == EXPORTER or certificate.iss == certificate.peer
    return HeldCertificate(
        doc_id=DocId(certificate.doc_id),
        number=certificate.number,
        iss=certificate.iss,
        addressee=certificate.addressee,
        side=certificate.side,
        state=certificate.state,
        body=certificate.body,
        figures={**certificate.body, **amended},
        last=last,
    )


def _with_findings(before: Mapping[str, Any], now: Mapping[str, Any]) -> Mapping[str, Any]:
    """An inspection with what the one before it found, as far as it does not say otherwise.

    What was within the tolerance is settled.
    """
    if "tolerance" in before or "tolerance" in now:
        return now
    return {**now, "found": {**before["found"], **now["found"]}}


def figures(tx: Transaction, found: Iterable[Certificate]) -> dict[str, Mapping[str, Any]]:
    """The bodies of certificates, with the values of their amendments, by doc id."""
    bodies = {one.doc_id: one for one in found}
    rows = tx.execute(
        f"SELECT certificate FROM life WHERE certificate IN {EACH} AND event = 'amendment'",
        (each(bodies),),
    )
    amended = all_held(tx, [bodies[row["certificate"]] for row in rows])
    return {doc_id: one.body for doc_id, one in bodies.items()} | {
        one.doc_id: one.figures for one in amended
    }


def by_number(tx: Transaction, number: str, participant: str | None = None) -> Certificate | None:
    """A certificate by its number, which starts with its participant's letters."""
    row = tx.execute(
        f"{_SELECT} WHERE c.participant = ? AND c.number = ?", (participant or number[:2], number)
    ).fetchone()
    return None if row is None else _certificate(row)


def by_numbers(tx: Transaction, numbers: Iterable[str]) -> dict[str, Certificate]:
    """Those certificates that are here, by their numbers."""
    rows = tx.execute(
        f"{_SELECT} WHERE c.number IN {EACH} AND c.participant = substr(c.number, 1, 2)",
        (each(numbers),),
    )
    return {one.number: one for one in map(_certificate, rows)}


def absent(tx: Transaction, number: str) -> str:
    """Why there is no certificate of a number, in words for who asked."""
    if draft := drafts.by_number(tx, number):
        return f"{number} is a draft ({draft.state}), not issued; see kpnode draft list"
    if papers.by_number(tx, number):
        return (
            f"only the paper of {number} is here, not its document; see kpnode certificate papers"
        )
    return f"there is no certificate {number} here; see kpnode certificate list"


def found(tx: Transaction, name: str) -> Certificate:
    """A certificate by its number or doc id, as people name it.

    Raises:
        NotFoundError: There is none; says why, in words for who asked.
    """
    certificate = by_number(tx, name) or by_doc_id(tx, name)
    if certificate is None:
        raise NotFoundError(absent(tx, name))
    return certificate


def version(tx: Transaction, certificate: Certificate) -> str:
    """A text that changes with whatever happens to a certificate.

    Its peer's receipts, inquiries about it and alerts that mean it are among that.
    """
    (last,) = tx.execute(
        "SELECT coalesce(max(idx), -1) FROM life WHERE certificate = ?", (certificate.doc_id,)
    ).fetchone()
    beside = [(str(a.doc_id), a.standing) for a in register.on(tx, certificate.number)]
    beside += [(q.doc_id, q.verdict or "") for q in inquiries.about(tx, certificate.number)]
    told = hashlib.sha256(repr((last, certificate.outcome, beside)).encode()).hexdigest()
    return f"{certificate.doc_id[:12]}-{told[:16]}"


def by_doc_id(tx: Transaction, doc_id: str) -> Certificate | None:
    """A certificate by its doc id."""
    row = tx.execute(f"{_SELECT} WHERE c.entry = {ENTRY_OF.format('?')}", (doc_id,)).fetchone()
    return None if row is None else _certificate(row)


def by_doc_ids(tx: Transaction, doc_ids: Iterable[str]) -> list[Certificate]:
    """Those certificates that are here, in no order."""
    rows = tx.execute(f"{_SELECT} WHERE c.entry IN {ENTRIES_OF}", (each(doc_ids),))
    return list(map(_certificate, rows))


def states_of(tx: Transaction, doc_ids: Iterable[str]) -> dict[str, str]:
    """The states of certificates as they are shown, by doc id."""
    rows = tx.execute(
        "SELECT c.doc_id, c.side, c.state, coalesce(o.outcome, '') FROM certificates c "
        "LEFT JOIN outcomes o ON o.doc_id = c.doc_id AND o.peer = c.peer AND c.side = 'exporter' "
        f"WHERE c.entry IN {ENTRIES_OF}",
        (each(doc_ids),),
    )
    return {doc_id: states.shown(*shown) for doc_id, *shown in rows}


def listed(
    tx: Transaction,
    side: str | None,
    peer: str | None,
    after: str,
    limit: int,
    state: str | None = None,
    party: str | None = None,
    seal: str | None = None,
) -> list[Certificate]:
    """Certificates by number, after a number.

    Args:
        tx: The transaction.
        side: Only of this side.
        peer: Only with this authority.
        after: Only beyond this number.
        limit: At most so many.
        state: Only in this family of states.
        party: Only those whose exporter's or importer's name has this in it, in any case.
        seal: Only those that this seal is named on, or on a document about them.
    """
    wanted = {"side = ?": side, "peer = ?": peer, f"entry IN {seals.OF}": seal}
    where = ["number > ?", *(clause for clause, value in wanted.items() if value)]
    values = [value for value in wanted.values() if value]
    if state is not None:
        where.append(f"{_SHOWN} IN {EACH}")
        values.append(each(states.shown_in(state)))
    named = parties.named(tx, party) if party else None
    keys = _keys(tx, " AND ".join(where), [after, *values], limit, named)
    rows = tx.execute(f"{_SELECT} WHERE c.entry IN {EACH} ORDER BY c.number", (each(keys),))
    return [_certificate(row) for row in rows]


def in_states(
    tx: Transaction,
    side: str,
    wanted: Iterable[str],
    *,
    issued_until: str = "9999",
    expiring_from: str = "",
    expiring_until: str = "9999",
) -> Iterator[Certificate]:
    """The certificates of a side in some states, by number; days bound them as documents write them."""
    rows = tx.execute(
        f"{_SELECT} WHERE c.side = ? AND c.state IN {EACH} AND c.issued_on <= ? "
        "AND c.expires_on BETWEEN ? AND ? ORDER BY c.number",
        (side, each(wanted), issued_until, expiring_from, expiring_until),
    )
    return map(_certificate, rows)


def recorded_since(tx: Transaction, at_s: int) -> Iterator[Certificate]:
    """The certificates of both sides that entered the log at a second or later, in that order."""
    rows = tx.execute(
        f"{_SELECT} WHERE c.entry >= ? ORDER BY c.entry", (entries.first_since(tx, at_s),)
    )
    return map(_certificate, rows)


def _keys(
    tx: Transaction, where: str, values: list[str], limit: int, named: list[int] | None
) -> list[int]:
    """The entries of the first certificates by number that meet a condition.

    Keys first: sorting whole documents would take a thousand times as long. A party's certificates
    stand in its index by number, so the first of each are enough; where very many parties are
    meant, nearly every certificate is, and they are looked through by number.
    """
    order = f"ORDER BY number LIMIT {limit}"
    if named is None:
        found = tx.execute(f"SELECT entry FROM certificates WHERE {where} {order}", values)
        return [row["entry"] for row in found]
    if len(named) > MANY_PARTIES:
        found = tx.execute(
            "SELECT entry FROM certificates INDEXED BY certificates_number "
            f"WHERE {where} AND (exporter IN {EACH} OR importer IN {EACH}) {order}",
            (*values, each(named), each(named)),
        )
        return [row["entry"] for row in found]
    first: set[tuple[str, int]] = set()
    for role in (EXPORTER, IMPORTER):
        for party in named:
            rows = tx.execute(
                f"SELECT number, entry FROM certificates WHERE {role} = ? AND {where} {order}",
                (party, *values),
            )
            first.update(map(tuple, rows))
    return [entry for _, entry in sorted(first)[:limit]]


def _certificate(row: Any) -> Certificate:
    participant, number, doc_id, side, peer, outcome, errors, state, jws, at = row
    shown = states.shown(side, state, outcome)
    claims = entries.claims(bytes(jws))
    told = json.loads(errors) if errors != "[]" else []
    return Certificate(
        participant, number, doc_id, side, peer, outcome, told, shown, claims["body"], at,
        claims["iss"], claims["aud"][0],
    )  # fmt: skip
