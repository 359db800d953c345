"""What waits for an officer, list by list; the same for the command line, the API and the pages.

Nothing here is stored: the lists follow from the states, the day, and what this authority has asked.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Any

from node.authority import OwnAuthority
from node.clock import days_after, iso
from node.domain import states
from node.domain.facts import Alert
from node.domain.states import EXPORTER, HELD, HOLDABLE, IMPORTER
from node.ledger import certificates, inquiries, papers, register
from node.ledger.certificates import Certificate
from node.ledger.database import Transaction
from node.office.officer import day_of
from node.watch import figures

WITHIN_DAYS = 14
"""How far ahead `expiring` looks, where the asker does not say."""

UNCONFIRMED = ("issued", "sealed", "delivered", "refused")
UNSETTLED_THERE = (*UNCONFIRMED, "disputed", "contested", "consented", "amended")
UNSETTLED_HERE = (*HOLDABLE, *HELD, "at the laboratory")
ARRIVING = ("announced", "presented", "inspected")


@dataclass(frozen=True, slots=True)
class Item:
    """One line of a list.

    Attributes:
        number: The certificate's.
        peer: The authority at the other side.
        state: Of the certificate on this side, or what else stands open.
        due: The day that counts, ``YYYY-MM-DD``, or None.
        days: By how many days it is past today; negative where it lies ahead.
        turn: Whose move it is.
        detail: In words, or what was asked.
        document: The doc id to ask for more.
    """

    number: str
    peer: str
    state: str
    due: str | None
    days: int | None
    turn: str
    detail: str
    document: str


@dataclass(frozen=True, slots=True)
class Asked:
    """What a list is made from: this authority, its date, and how far to look."""

    own: OwnAuthority
    today: date
    within_days: int = WITHIN_DAYS
    older_than_days: int | None = None


@dataclass(frozen=True, slots=True)
class WorkList:
    """A list: what stands in it, and what to do about it."""

    title: str
    means: str
    do: str
    read: Callable[[Transaction, Asked], Iterator[Item]]


def _to_confirm(tx: Transaction, asked: Asked) -> Iterator[Item]:
    wanted = ("presented", "inspected", "amended")
    for one in certificates.in_states(tx, IMPORTER, wanted):
        yield _item(one, asked, one.body["expires_on"], asked.own.name)


def _disputed(tx: Transaction, asked: Asked) -> Iterator[Item]:
    for side in (EXPORTER, IMPORTER):
        plain = ("disputed", "contested", "consented")
        for one in certificates.in_states(tx, side, (*plain, *map(states.on_hold, plain))):
            exporters = states.unheld(one.state) == "disputed"
            mine = exporters == (side == EXPORTER)
            said = certificates.held(tx, one).last["discrepancy"][1]
            proposed = figures.in_short(figures.brought(said))
            detail = f"{said['reason']}; found: {proposed}" if proposed else said["reason"]
            turn = asked.own.name if mine else one.peer
            yield _item(one, asked, one.body["expires_on"], turn, detail)


def _overdue(tx: Transaction, asked: Asked) -> Iterator[Item]:
    allowed, peers = asked.own.config.thresholds, asked.own.config.peers
    limits = [allowed(name).overdue_days for name in ("", *(peer.authority for peer in peers))]
    least = min(limits) if asked.older_than_days is None else asked.older_than_days
    until = days_after(asked.today, -least).isoformat()
    for one in certificates.in_states(tx, EXPORTER, UNCONFIRMED, issued_until=until):
        limit = asked.older_than_days
        if limit is None:
            limit = allowed(one.peer).overdue_days
        due = days_after(date.fromisoformat(one.body["issued_on"]), limit)
        if due < asked.today:
            reminded = [
                q for q in inquiries.about(tx, one.number) if q.sent and q.asks == "arrival"
            ]
            detail = f"asked {_times(len(reminded))}" if reminded else "not asked yet"
            if answers := [q.verdict for q in reminded if q.verdict]:
                detail += f"; answer: {answers[-1]}"
            if one.peer not in asked.own.book.settings:
                detail += f"; {one.peer} is no peer any more"
            yield _item(one, asked, due.isoformat(), one.peer, detail)


def _expiring(tx: Transaction, asked: Asked) -> Iterator[Item]:
    since, until = asked.today, days_after(asked.today, asked.within_days)
    for side, wanted in ((EXPORTER, UNCONFIRMED), (IMPORTER, (*ARRIVING, *HELD))):
        for one in certificates.in_states(
            tx, side, wanted, expiring_from=since.isoformat(), expiring_until=until.isoformat()
        ):
            turn = one.peer if side == EXPORTER else asked.own.name
            yield _item(one, asked, one.body["expires_on"], turn)


def _expired_in_transit(tx: Transaction, asked: Asked) -> Iterator[Item]:
    yield from _expired(tx, asked, EXPORTER, UNCONFIRMED)


def _never_presented(tx: Transaction, asked: Asked) -> Iterator[Item]:
    yield from _expired(tx, asked, IMPORTER, ("announced",))


def _expired(tx: Transaction, asked: Asked, side: str, wanted: tuple[str, ...]) -> Iterator[Item]:
    until = days_after(asked.today, -1).isoformat()
    for one in certificates.in_states(tx, side, wanted, expiring_until=until):
        yield _item(one, asked, one.body["expires_on"], asked.own.name)


def _unannounced(tx: Transaction, asked: Asked) -> Iterator[Item]:
    for paper in filter(lambda one: one.open, papers.without_document(tx)):
        yield Item(
            paper.number, paper.authority, paper.state, None, None, asked.own.name,
            _answers(tx, paper.number), paper.doc_id,
        )  # fmt: skip


def _inquiries(tx: Transaction, asked: Asked) -> Iterator[Item]:
    for one in inquiries.waiting(tx):
        detail = f"{one.asks}?" + (f" asked {_times(one.again + 1)}" if one.again else "")
        yield Item(
            one.number, one.peer, "asked" if one.sent else "to be answered", one.answer_by,
            _past(one.answer_by, asked), one.peer if one.sent else asked.own.name, detail,
            one.doc_id,
        )  # fmt: skip


def _technical(tx: Transaction, asked: Asked) -> Iterator[Item]:
    for side in (EXPORTER, IMPORTER):
        for one in certificates.in_states(tx, side, ("return ordered", "at the laboratory")):
            doc_id, body = certificates.held(tx, one).last["technical-certificate"]
            back = one.state == "return ordered"
            mine = back == (side == EXPORTER)
            turn = asked.own.name if mine else one.peer
            item = _item(one, asked, body["expires_on"], turn, body["technical_number"])
            yield replace(item, document=doc_id)


def _flagged(tx: Transaction, asked: Asked) -> Iterator[Item]:
    for side, wanted in ((EXPORTER, UNSETTLED_THERE), (IMPORTER, UNSETTLED_HERE)):
        for number in register.flagged_in(tx, side, wanted):
            one = certificates.by_number(tx, number)
            assert one is not None
            alert, detail = _warned(tx, number)
            yield replace(_item(one, asked, None, asked.own.name, detail), document=alert.doc_id)
    found = [paper for paper in papers.without_document(tx) if paper.open]
    flagged = register.flagged(tx, [paper.number for paper in found])
    for paper in found:
        if paper.number in flagged:
            alert, detail = _warned(tx, paper.number)
            yield Item(
                paper.number, paper.authority, paper.state, None, None, asked.own.name, detail,
                alert.doc_id,
            )  # fmt: skip


def _warned(tx: Transaction, number: str) -> tuple[Alert, str]:
    """The weightiest alert on a number, and all of them in words."""
    first, count = register.weightiest(tx, number)
    more = f" (and {count - 1} more)" if count > 1 else ""
    return first, f"{first.subject}, by {first.iss}: {first.reason}{more}"


def _vigilance(tx: Transaction, asked: Asked) -> Iterator[Item]:
    rows = asked.own.config.policy.vigilance
    if not rows:
        return
    for one in certificates.in_states(tx, IMPORTER, (*ARRIVING, *map(states.on_hold, ARRIVING))):
        because = [row.because for row in rows if row.fits(one.body)]
        if because:
            yield _item(one, asked, one.body["expires_on"], asked.own.name, "; ".join(because))


LISTS: dict[str, WorkList] = {
    "to-confirm": WorkList(
        "To confirm",
        "goods and paper are here, or values were agreed; the exporter waits for the confirmation",
        "kpnode confirm NUMBER, or kpnode dispute NUMBER where they differ",
        _to_confirm,
    ),
    "disputed": WorkList(
        "Disputed",
        "goods and certificate differ; the turn is the exporter's until it has decided",
        "exporter: kpnode consent or refuse; importer: kpnode amend, order-return or dispute again",
        _disputed,
    ),
    "overdue": WorkList(
        "Overdue",
        "issued here, and not confirmed within the days that peers.toml allows",
        "kpnode overdue --remind asks the importers; then kpnode alert raise missing-shipment",
        _overdue,
    ),
    "expiring": WorkList(
        "Expiring",
        "valid for a few days more, and the goods not yet admitted",
        "importer: present and confirm in time; exporter: tell the trader",
        _expiring,
    ),
    "expired-in-transit": WorkList(
        "Expired in transit",
        "issued here, past its day of expiry, and no confirmation",
        "kpnode inquiry ask NUMBER --asks arrival; then revoke it or raise an alert",
        _expired_in_transit,
    ),
    "never-presented": WorkList(
        "Announced and never presented",
        "its document is here, its day of expiry is past, and no goods came",
        "tell the exporter, who asks or warns; nothing can be confirmed any more",
        _never_presented,
    ),
    "unannounced": WorkList(
        "Presented without announcement",
        "the paper is here, its document is not",
        "kpnode inquiry ask NUMBER: is it genuine? The issuer sends the document again; else kpnode source admit, or hold and seize",
        _unannounced,
    ),
    "inquiries": WorkList(
        "Inquiries due",
        "asked and not answered yet, by a peer or of one",
        "kpnode inquiry answer NUMBER; of a peer that is late: kpnode inquiry ask NUMBER --again",
        _inquiries,
    ),
    "technical": WorkList(
        "Technical certificates out",
        "goods are on their way back, or at a laboratory",
        "exporter: kpnode take-in NUMBER when they are back; importer: kpnode take-back NUMBER",
        _technical,
    ),
    "flagged": WorkList(
        "Flagged by alerts",
        "an alert in force means its number, and it is not settled",
        "kpnode alert show ID; hold and release (kpnode alert release ID for all), or seize; kpnode alert sighted ID tells the others",
        _flagged,
    ),
    "vigilance": WorkList(
        "Under vigilance",
        "on its way here, and one of the [[vigilance]] tables of peers.toml fits it",
        "look at it closely before kpnode confirm NUMBER",
        _vigilance,
    ),
}
"""By name, in the order they are shown."""


def read(
    own: OwnAuthority,
    name: str,
    *,
    within_days: int = WITHIN_DAYS,
    older_than_days: int | None = None,
) -> list[dict[str, Any]]:
    """The items of a list as JSON, by how long they wait.

    Args:
        own: Whose list.
        name: One of `LISTS`.
        within_days: For `expiring`: so many days from today.
        older_than_days: For `overdue`: in place of what `peers.toml` allows.
    """
    asked = Asked(own, day_of(own, own.clock.now()), within_days, older_than_days)
    items = own.ledger.read(lambda tx: list(LISTS[name].read(tx, asked)), long=True)
    return [asdict(item) for item in sorted(items, key=_urgency)]


def overview(own: OwnAuthority, shown: int = 0) -> list[dict[str, Any]]:
    """Every list with its count, and how many of it are this authority's move.

    Args:
        own: Whose lists.
        shown: So many items of each are told, too.
    """
    found = []
    for name, one in LISTS.items():
        items = read(own, name)
        mine = sum(item["turn"] == own.name for item in items)
        found.append(
            {"list": name, "title": one.title, "count": len(items), "mine": mine,
             "means": one.means, "do": one.do, **({"items": items[:shown]} if shown else {})}
        )  # fmt: skip
    return found


def attention(held: Certificate, day: str, *, differs: bool, flagged: bool) -> str | None:
    """What an officer must see to: a refused document, an alert, or what time has brought about."""
    if differs:
        return "the two sides differ"
    if flagged:
        return "flagged by an alert"
    if day <= held.body["expires_on"]:
        return None
    if held.side == EXPORTER and held.state in UNCONFIRMED:
        return "expired unconfirmed"
    return "announced and never presented" if held.state == "announced" else None


def _item(one: Certificate, asked: Asked, due: str | None, turn: str, detail: str = "") -> Item:
    days = None if due is None else _past(due, asked)
    return Item(one.number, one.peer, one.state, due, days, turn, detail, one.doc_id)


def _past(due: str, asked: Asked) -> int:
    return (asked.today - date.fromisoformat(due)).days


def _answers(tx: Transaction, number: str) -> str:
    asked = [q for q in inquiries.about(tx, number) if q.sent]
    if not asked:
        return "not asked yet"
    last = asked[-1]
    return f"answer: {last.verdict}" if last.verdict else f"asked {iso(last.asked_at)[:10]}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _urgency(item: Item) -> tuple[int, str]:
    return (-item.days if item.days is not None else 10_000, item.number)
