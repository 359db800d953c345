"""What each operation of the API does: one act of the office, or one reading, by its id.

The same functions stand behind the command line, so the two cannot differ.
"""

from collections.abc import Callable
from dataclasses import asdict
from datetime import date
from typing import Any

from node.authority import OwnAuthority
from node.domain.states import ON_PAPER
from node.errors import NotFoundError, RefusedError, errors_as_json
from node.ledger import certificates, drafts, entries, papers
from node.ledger.database import Transaction
from node.office import (
    alert,
    dispute,
    dossier,
    draft,
    goods,
    inquire,
    profile,
    returning,
    sources,
    verify,
)
from node.office.attend import attend, release_all
from node.office.confirm import confirm
from node.office.import_table import REFUSED, import_table
from node.office.issue import issue, issue_each
from node.office.officer import Officer, day_of
from node.office.remind import remind
from node.office.revoke import revoke
from node.watch import accounts, correspondence, events, journey, reference, worklists
from node.watch import certificates as holdings
from node.web import operating
from node.web.call import Answer, Call, Handler

JOSE = "application/jose"
CSV, ZIP = "text/csv", "application/zip"


def _acts() -> dict[str, Handler]:
    """Acts on one certificate: its number, the officer, and what the body says."""
    verbs: dict[str, Callable[..., Any]] = {
        "seal": lambda own, n, who, seals: goods.record(
            own, "sealing", n, who, {"containers": [{"seal": seal} for seal in seals]}
        ),
        "consent": lambda own, n, who, reason: dispute.resolve(
            own, n, who, consent=True, reason=reason
        ),
        "refuse": lambda own, n, who, reason: dispute.resolve(
            own, n, who, consent=False, reason=reason
        ),
        "take-in": returning.take_in,
        "revoke": revoke,
        "inspect": lambda own, n, who, **d: goods.record(own, "inspection", n, who, d),
        "confirm": lambda own, n, who, **d: confirm(own, [n], who, **d)[0],
        "dispute": dispute.dispute,
        "amend": dispute.amend,
        "order-return": returning.order_return,
        "send-to-laboratory": returning.send_to_laboratory,
        "take-back": lambda own, n, who: goods.record(own, "laboratory-return", n, who, {}),
        "hold": lambda own, n, who, **d: goods.record(own, "hold", n, who, d),
        "release": lambda own, n, who, **d: goods.record(own, "release", n, who, d),
        "seize": lambda own, n, who, **d: goods.record(own, "seizure", n, who, d),
    }

    def acting(verb: Callable[..., Any]) -> Handler:
        def handle(own: OwnAuthority, call: Call) -> Answer:
            done = verb(own, call.path["number"], call.officer, **call.body)
            return _done(own, done.number, done.doc_id, done.to, done.state)

        return handle

    return {name: acting(verb) for name, verb in verbs.items()}


def _done(own: OwnAuthority, number: str, doc_id: str, to: str, state: str) -> Answer:
    told = {"number": number, "doc_id": doc_id, "to": to, "state": state}
    return Answer(told, etag=own.ledger.write(lambda tx: etag(tx, number)))


def etag(tx: Transaction, number: str) -> str:
    """The ETag of a certificate as it stands, or ``""`` where there is none."""
    found = certificates.by_number(tx, number)
    return f'"{certificates.version(tx, found)}"' if found else ""


def _present(own: OwnAuthority, call: Call) -> Answer:
    number, told = call.path["number"], dict(call.body)
    issuer = told.pop("from", None)
    if issuer is not None:
        doc_id = goods.present_paper(own, number, call.officer, issuer=issuer, **told)
        return _done(own, number, doc_id, own.name, ON_PAPER)
    done = goods.record(own, "presentation", number, call.officer, told)
    return _done(own, number, done.doc_id, done.to, done.state)


def _issue(own: OwnAuthority, call: Call) -> Answer:
    """All or none, or each with a result of its own."""
    shipments, officer = call.body["shipments"], call.officer
    if call.body.get("mode", "all") == "all":
        made = issue(own, shipments, officer, call.progress)
        told = [{"number": one.number, "doc_id": one.doc_id, "to": one.to} for one in made]
        return Answer({"results": told}, 201)
    results = [
        {"number": one.number, "errors": errors_as_json(one)}
        if isinstance(one, RefusedError)
        else {"number": one.number, "doc_id": one.doc_id, "to": one.to}
        for one in issue_each(own, shipments, officer, call.progress)
    ]
    return Answer({"results": results})


def _ask(own: OwnAuthority, call: Call) -> Answer:
    told = dict(call.body)
    sent = inquire.ask(own, told.pop("number"), call.officer, **told)
    return Answer({"number": sent.number, "doc_id": sent.doc_id, "to": sent.to}, 201)


def _answer(own: OwnAuthority, call: Call) -> Answer:
    sent = inquire.answer(own, call.path["doc_id"], call.officer, **call.body)
    return Answer({"number": sent.number, "doc_id": sent.doc_id, "to": sent.to}, 201)


def _raise(own: OwnAuthority, call: Call) -> Answer:
    return Answer({"doc_id": alert.raise_alert(own, call.officer, **call.body)}, 201)


def _say(own: OwnAuthority, call: Call) -> Answer:
    told = dict(call.body)
    says = told.pop("says")
    doc_id = alert.say_of(own, call.path["doc_id"], says, call.officer, **told)
    return Answer({"doc_id": doc_id}, 201)


def _show(own: OwnAuthority, call: Call) -> Answer:
    told = holdings.shown(own, call.path["number"])
    return Answer(told, etag=f'"{told["version"]}"')


def _document(own: OwnAuthority, call: Call) -> Answer:
    raw = own.ledger.read(lambda tx: entries.document(tx, call.path["doc_id"]))
    if raw is None:
        raise NotFoundError(f"no document {call.path['doc_id']} in this log")
    return Answer(raw.decode(), media=JOSE)


def _verify(own: OwnAuthority, call: Call) -> Answer:
    context, ring = own.context(), {**own.book.ring, own.name: own.keys}
    day = day_of(own, context.now)
    found = own.ledger.read(
        lambda tx: verify.verify_file(
            call.body,
            ring,
            context,
            lambda document: verify.ask_ledger(tx, document, day),
            lambda doc_id: verify.in_log(tx, doc_id),
        )
    )
    return Answer({"items": [one.as_json() for one in found], "next": None})


def _work_list(own: OwnAuthority, call: Call) -> Answer:
    items = worklists.read(own, call.path["list"], within_days=call.query["within"])
    return Answer({"items": items, "next": None})


def _drafts(own: OwnAuthority, _: Call) -> Answer:
    found = own.ledger.read(drafts.listed)
    items = [{"number": d.number, "state": d.state, "officer": d.officer} for d in found]
    return Answer({"items": items, "next": None})


def _issue_draft(own: OwnAuthority, call: Call) -> Answer:
    made = draft.issue_draft(own, call.path["number"], call.officer)
    return Answer({"number": made.number, "doc_id": made.doc_id, "to": made.to}, 201)


def _drafting(verb: Callable[..., str]) -> Handler:
    def handle(own: OwnAuthority, call: Call) -> Answer:
        number = verb(own, call.path["number"], call.officer, **call.body)
        now = own.ledger.write(lambda tx: drafts.by_number(tx, number))
        assert now is not None
        return Answer({"number": number, "state": now.state})

    return handle


def _transit(own: OwnAuthority, call: Call) -> Answer:
    told = dict(call.body)
    number, issuer = told.pop("number"), told.pop("from")
    return Answer(
        {"doc_id": goods.note_transit(own, number, call.officer, issuer=issuer, **told)}, 201
    )


def _papers(own: OwnAuthority, _: Call) -> Answer:
    found = own.ledger.read(papers.without_document)
    return Answer({"items": [asdict(paper) for paper in found], "next": None})


def _admit(own: OwnAuthority, call: Call) -> Answer:
    told = dict(call.body)
    issuer = told.pop("from")
    doc_id = sources.admit_paper(own, call.path["number"], call.officer, issuer=issuer, **told)
    return Answer({"doc_id": doc_id}, 201)


def _adjust(own: OwnAuthority, call: Call) -> Answer:
    doc_id = sources.adjust(own, call.path["number"], call.officer, **call.body)
    return Answer({"doc_id": doc_id}, 201)


def _publish(own: OwnAuthority, call: Call) -> Answer:
    done = profile.publish(own, call.body.get("profile"), call.officer)
    return Answer({"from": done.begins, "to": list(done.to)}, 201)


def _remind(own: OwnAuthority, call: Call) -> Answer:
    numbers = [item["number"] for item in worklists.read(own, "overdue")]
    sent = remind(own, numbers, call.officer)
    told = [{"number": one.number, "doc_id": one.doc_id, "to": one.to} for one in sent]
    return Answer({"reminded": told})


def _month(text: str | None) -> date | None:
    return date.fromisoformat(f"{text}-01") if text and not text.startswith("0000") else None


def _export(own: OwnAuthority, call: Call) -> Answer:
    month, side = _month(call.query.get("month")), call.query.get("side")
    return Answer(own.ledger.read(lambda tx: dossier.as_csv(tx, month, side), long=True), media=CSV)


def _import(own: OwnAuthority, call: Call) -> Answer:
    apply = call.query["apply"]
    who = Officer(call.query.get("office"), call.query.get("officer"))
    steps = import_table(own, call.body, who, apply=apply, progress=call.progress)
    done = apply and not any(step.will == REFUSED for step in steps)
    return Answer({"applied": done, "items": [step.as_json() for step in steps]})


def _dossier(own: OwnAuthority, call: Call) -> Answer:
    month = _month(call.path["month"])
    if month is None:
        raise NotFoundError("there is no such month")
    return Answer(dossier.dossier(own, month)[0], media=ZIP)


HANDLERS: dict[str, Handler] = {
    **_acts(),
    **operating.HANDLERS,
    "issue": _issue,
    "present": _present,
    "draft": lambda own, c: Answer(
        {"drafted": draft.draft(own, c.body["shipments"], c.officer)}, 201
    ),
    "list-drafts": _drafts,
    "inspect-draft": _drafting(draft.inspect_export),
    "withdraw-draft": _drafting(draft.withdraw),
    "issue-draft": _issue_draft,
    "transit": _transit,
    "list-papers": _papers,
    "show-source": lambda own, c: Answer(accounts.account(own, c.path["number"])),
    "admit-source": _admit,
    "adjust-source": _adjust,
    "publish-profile": _publish,
    "remind": _remind,
    "export-table": _export,
    "import-table": _import,
    "read-dossier": _dossier,
    "ask": _ask,
    "answer": _answer,
    "raise-alert": _raise,
    "say-of-alert": _say,
    "release-flagged": lambda own, c: Answer(
        {"released": release_all(own, c.path["doc_id"], c.officer, **c.body)}
    ),
    "list-certificates": lambda own, c: Answer(holdings.listed(own, **c.query)),
    "show-certificate": _show,
    "timeline": lambda own, c: Answer(journey.certificate(own, c.path["number"])),
    "read-document": _document,
    "journey": lambda own, c: Answer(journey.document(own, c.path["doc_id"])),
    "verify": _verify,
    "list-inquiries": lambda own, c: Answer(
        correspondence.inquiries_after(own, c.query.get("after", ""))
    ),
    "show-inquiry": lambda own, c: Answer(correspondence.inquiry(own, c.path["doc_id"])),
    "list-alerts": lambda own, c: Answer(
        correspondence.alerts(own, c.query.get("number"), ended=c.query["all"])
    ),
    "show-alert": lambda own, c: Answer(correspondence.alert(own, c.path["doc_id"])),
    "work": lambda own, _: Answer({"items": worklists.overview(own), "next": None}),
    "work-list": _work_list,
    "list-participants": lambda own, c: Answer(
        reference.participants(own, date.fromisoformat(c.query["on"]) if "on" in c.query else None)
    ),
    "list-profiles": lambda own, _: Answer(reference.announced(own)),
    "events": lambda own, c: Answer(events.after(own, c.query["after"], c.query["limit"])),
}
"""By operation id; a test compares them with the description."""

AFTERWARDS = {"present": attend, "raise-alert": attend}
"""What is seen to once an act is done; see `node.office.attend`."""
