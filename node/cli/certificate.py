"""`kpnode certificate`: what is held, on either side."""

from typing import Any

import click

from node.cli.output import Output, command
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
    from node.ledger import certificates
    from node.office.officer import day_of
    from node.wiring import open_node

    with open_node(output.home, signing=False) as own:
        held, differing = own.ledger.read(
            lambda tx: (
                certificates.listed(tx, side, peer, after, limit, state, party),
                certificates.with_open_items(tx),
            )
        )
        day = day_of(own, own.clock.now()).isoformat()
    items = [_summary(c, day, c.doc_id in differing) for c in held]
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
    from node.ledger import certificates
    from node.office.officer import day_of
    from node.watch.journey import told
    from node.wiring import open_node

    with open_node(output.home, signing=False) as own:

        def query(tx: Any) -> Any:
            found = certificates.found(tx, number)
            events = certificates.timeline(tx, found)
            return found, events, certificates.open_items(tx, found)

        held, events, open_items = own.ledger.read(query)
        name, day = own.name, day_of(own, own.clock.now()).isoformat()
    at_peer = held.side == "importer" or held.outcome in ("accepted", "duplicate")
    steps = allowed(held.side, held.state)
    result = {
        **_summary(held, day, bool(open_items)),
        "meaning": MEANINGS[held.state],
        "refused_with": held.errors,
        "held_by": sorted({name, held.peer} if at_peer else {name}),
        "timeline": [told(e) for e in events],
        "open": [
            {"sent": i.sent, "document": i.document, "code": i.code, "detail": i.detail}
            for i in open_items
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


def _attention(held: Any, day: str, differs: bool) -> str | None:
    """What an officer must see to: a refused document, or what time has brought about."""
    if differs:
        return "the two sides differ"
    if day <= held.body["expires_on"]:
        return None
    if held.side == "exporter" and held.state in ("issued", "sealed", "delivered", "refused"):
        return "expired unconfirmed"
    return "announced and never presented" if held.state == "announced" else None


def _summary(held: Any, day: str, differs: bool) -> dict[str, Any]:
    return {
        "number": held.number,
        "state": held.state,
        "side": held.side,
        "peer": held.peer,
        "doc_id": held.doc_id,
        "issued_on": held.body["issued_on"],
        "expires_on": held.body["expires_on"],
        "attention": _attention(held, day, differs),
        "carats": held.body["totals"]["carats"],
        "value_usd": held.body["totals"]["value_usd"],
    }


certificate.add_command(list_)
certificate.add_command(show)
certificate.add_command(papers)
