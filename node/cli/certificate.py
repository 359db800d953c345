"""`kpnode certificate`: what is held, on either side."""

from datetime import UTC, datetime
from typing import Any

import click

from node.cli.output import Output, command


@click.group()
def certificate() -> None:
    """List and show certificates, both sides."""


@command(name="list")
@click.option("--side", type=click.Choice(["exporter", "importer"]), help="Only this side.")
@click.option("--peer", help="Only with this authority.")
@click.option("--state", help="Only in this state, e.g. issued, delivered, announced, admitted.")
@click.option("--after", default="", help="Continue after this number.")
@click.option("--limit", type=click.IntRange(1, 10000), default=1000, show_default=True)
def list_(
    output: Output, side: str | None, peer: str | None, state: str | None, after: str, limit: int
) -> None:
    """List certificates by number."""
    from node.ledger import certificates
    from node.wiring import open_node

    with open_node(output.home) as own:
        held = own.ledger.read(lambda tx: certificates.listed(tx, side, peer, after, limit))
    items = [_summary(c) for c in held if state in (None, c.state.name)]
    more = held[-1].number if len(held) == limit else None
    columns = {
        "number": "NUMBER", "state": "STATE", "side": "SIDE", "peer": "PEER",
        "issued_on": "ISSUED", "expires_on": "EXPIRES", "carats": "CARATS", "value_usd": "US$",
    }  # fmt: skip
    empty = "No certificates. Issue some (kpnode issue FILE), or wait for a peer's."
    output.rows({"items": items, "next": more}, items, columns, empty)


@command(context_settings={"ignore_unknown_options": True})
@click.argument("number")
def show(output: Output, number: str) -> None:
    """Show a certificate by NUMBER or doc id: state, timeline, who holds what."""
    from node.errors import NotFoundError
    from node.ledger import certificates
    from node.wiring import open_node

    with open_node(output.home) as own:

        def query(tx: Any) -> Any:
            found = certificates.by_number(tx, number) or certificates.by_doc_id(tx, number)
            return (found, certificates.timeline(tx, found)) if found else None

        answer = own.ledger.read(query)
        name = own.name
    if answer is None:
        raise NotFoundError(f"no certificate {number} is held here")
    held, events = answer
    at_peer = held.side == "importer" or held.outcome in ("accepted", "duplicate")
    result = {
        **_summary(held),
        "meaning": held.state.meaning,
        "refused_with": held.errors,
        "confirmation": held.confirmation,
        "held_by": sorted({name, held.peer} if at_peer else {name}),
        "timeline": [
            {"at": _time(e.at), "what": e.what, "document": e.document, "detail": e.detail}
            for e in events
        ],
        "body": held.body,
    }
    lines = [
        f"{held.number}  {held.state.name} ({held.state.meaning})",
        f"document     {held.doc_id}",
        f"held by      {', '.join(result['held_by'])}",
        f"from, to     {held.body['provenance']} → {held.body['destination']}",
        f"exporter     {held.body['exporter']['name']}",
        f"importer     {held.body['importer']['name']}",
        f"goods        {held.body['totals']['carats']} ct, US$ {held.body['totals']['value_usd']}, "
        f"{held.body['parcels']} parcels",
        f"valid        {held.body['issued_on']} to {held.body['expires_on']}",
        "",
        *(f"{_time(e.at)}  {e.what:<10} {e.detail}" for e in events),
    ]
    output.result(result, "\n".join(lines))


def _summary(held: Any) -> dict[str, Any]:
    return {
        "number": held.number,
        "state": held.state.name,
        "side": held.side,
        "peer": held.peer,
        "doc_id": held.doc_id,
        "issued_on": held.body["issued_on"],
        "expires_on": held.body["expires_on"],
        "carats": held.body["totals"]["carats"],
        "value_usd": held.body["totals"]["value_usd"],
    }


def _time(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


certificate.add_command(list_)
certificate.add_command(show)
