"""`kpnode certificate`: what is held, on either side."""

from typing import Any

import click

from node.cli.output import Output, command
from node.cli.table import export, import_
from node.clock import iso
from node.domain.states import FAMILIES, MEANINGS, allowed


@click.group()
def certificate() -> None:
    """List and show certificates, both sides."""


@command(name="list")
@click.option("--side", type=click.Choice(["exporter", "importer"]), help="Only this side.")
@click.option("--peer", help="Only with this authority.")
@click.option("--state", type=click.Choice(FAMILIES), help="Only in this state.")
@click.option(
    "--party", metavar="TEXT", help="Only where exporter or importer has this in its name."
)
@click.option("--after", default="", help="Continue after this number.")
@click.option("--limit", type=click.IntRange(1, 10000), default=1000, show_default=True)
def list_(
    output: Output,
    side: str | None,
    peer: str | None,
    state: str | None,
    party: str | None,
    after: str,
    limit: int,
) -> None:
    """List certificates by number."""
    from node.ledger import certificates, register
    from node.office.officer import day_of
    from node.wiring import open_node

    with open_node(output.home, signing=False) as own:
        held, differing, flagged = own.ledger.read(
            lambda tx: (
                certificates.listed(tx, side, peer, after, limit, state, party),
                certificates.with_open_items(tx),
                register.all_meant(tx),
            )
        )
        day = day_of(own, own.clock.now()).isoformat()
    items = [_summary(c, day, c.doc_id in differing, c.doc_id in flagged) for c in held]
    more = held[-1].number if len(held) == limit else None
    columns = {
        "number": "NUMBER", "state": "STATE", "side": "SIDE", "peer": "PEER",
        "issued_on": "ISSUED", "expires_on": "EXPIRES", "carats": "CARATS", "value_usd": "US$",
        "attention": "ATTENTION",
    }  # fmt: skip
    empty = "No certificates. Issue some (kpnode issue FILE), or wait for a peer's."
    if side or peer or state or party or after:
        empty = "No certificates like that."
    output.rows({"items": items, "next": more}, items, columns, empty)
    if more:
        output.note(f"There may be more; continue with --after {more}")


@command(context_settings={"ignore_unknown_options": True})
@click.argument("number")
def show(output: Output, number: str) -> None:
    """Show a certificate by NUMBER or doc id: state, timeline, who holds what."""
    from node.ledger import certificates, inquiries, register
    from node.office.officer import day_of
    from node.watch.journey import told
    from node.wiring import open_node

    with open_node(output.home, signing=False) as own:

        def query(tx: Any) -> Any:
            found = certificates.found(tx, number)
            events = certificates.timeline(tx, found)
            alerts, asked = register.on(tx, found.number), inquiries.about(tx, found.number)
            return found, events, certificates.open_items(tx, found), alerts, asked

        held, events, open_items, alerts, asked = own.ledger.read(query)
        name, day = own.name, day_of(own, own.clock.now()).isoformat()
    at_peer = held.side == "importer" or held.outcome in ("accepted", "duplicate")
    steps = allowed(held.side, held.state)
    result = {
        **_summary(held, day, bool(open_items), bool(alerts)),
        "meaning": MEANINGS[held.state],
        "refused_with": held.errors,
        "held_by": sorted({name, held.peer} if at_peer else {name}),
        "timeline": [told(e) for e in events],
        "open": [
            {"sent": i.sent, "document": i.document, "code": i.code, "detail": i.detail}
            for i in open_items
        ],
        "alerts": [
            {
                "doc_id": a.doc_id,
                "by": a.iss,
                "subject": a.subject,
                "standing": a.standing,
                "reason": a.reason,
            }
            for a in alerts
        ],
        "inquiries": [
            {
                "doc_id": q.doc_id,
                "peer": q.peer,
                "sent": q.sent,
                "asks": q.asks,
                "answer_by": q.answer_by,
                "verdict": q.verdict,
                "answer": q.answer,
            }
            for q in asked
        ],
        "next": [{"event": step.event, "who": step.who} for step in steps],
        "body": held.body,
    }
    parcels = held.body["parcels"]
    lines = [
        f"{held.number}  {held.state} ({MEANINGS[held.state]})",
        *([f"attention    {result['attention']}"] if result["attention"] else []),
        f"document     {held.doc_id}",
        f"held by      {', '.join(result['held_by'])}",
        f"from, to     {held.body['provenance']} → {held.body['destination']}",
        f"exporter     {held.body['exporter']['name']}",
        f"importer     {held.body['importer']['name']}",
        f"goods        {held.body['totals']['carats']} ct, US$ {held.body['totals']['value_usd']}, "
        f"{parcels} parcel{'' if parcels == 1 else 's'}",
        f"valid        {held.body['issued_on']} to {held.body['expires_on']}",
        "",
        *(
            f"{iso(e.at)}  {e.what:<24} {e.who}{_dash(told(e)['detail'])}"
            + (f"\n{'':22}{e.document}{_dash(e.state and f'then {e.state}')}" if e.document else "")
            for e in events
        ),
        *(
            f"OPEN  {'refused there' if i.sent else 'refused here'}: {i.document} {i.code}: {i.detail}"
            for i in open_items
        ),
        *(f"ALERT {a.subject}, by {a.iss}, {a.standing}: {a.reason} ({a.doc_id})" for a in alerts),
        *(
            f"{'ASKED' if q.sent else 'ASKED BY'} {q.peer}: {q.asks}? {q.verdict or f'answer by {q.answer_by}'}"
            for q in asked
        ),
        "",
        "next: " + (", ".join(dict.fromkeys(map(_step, steps))) or "nothing more"),
    ]
    output.result(result, "\n".join(lines))


@command()
def papers(output: Output) -> None:
    """List certificates presented on paper whose document has not come."""
    from node.ledger import papers as read
    from node.wiring import open_node

    with open_node(output.home, signing=False) as own:
        found = own.ledger.read(read.without_document)
    items = [{"number": p.number, "authority": p.authority, "doc_id": p.doc_id} for p in found]
    columns = {"number": "NUMBER", "authority": "ISSUER", "doc_id": "RECORD"}
    output.rows({"items": items, "next": None}, items, columns, "Every paper has its document.")


def _dash(text: str) -> str:
    return f" - {text}" if text else ""


def _step(step: Any) -> str:
    """A next step for people: a revocation is one, whatever its reason."""
    kind = step.event.partition(":")[0]
    return f"{kind if kind == 'revocation' else step.event} ({step.who})"


def _summary(held: Any, day: str, differs: bool, flagged: bool) -> dict[str, Any]:
    from node.watch.worklists import attention

    return {
        "number": held.number,
        "state": held.state,
        "side": held.side,
        "peer": held.peer,
        "doc_id": held.doc_id,
        "issued_on": held.body["issued_on"],
        "expires_on": held.body["expires_on"],
        "attention": attention(held, day, differs=differs, flagged=flagged),
        "carats": held.body["totals"]["carats"],
        "value_usd": held.body["totals"]["value_usd"],
    }


certificate.add_command(list_)
certificate.add_command(show)
certificate.add_command(papers)
certificate.add_command(import_)
certificate.add_command(export)
