"""`kpnode certificate`: what is held, on either side."""

from datetime import UTC, datetime
from typing import Any

import click

from node.cli.output import Output, command
from node.domain.states import STATES

STATE_NAMES = sorted({state.name for state in STATES.values()})


@click.group()
def certificate() -> None:
    """List and show certificates, both sides."""


@command(name="list")
@click.option("--side", type=click.Choice(["exporter", "importer"]), help="Only this side.")
@click.option("--peer", help="Only with this authority.")
@click.option("--state", type=click.Choice(STATE_NAMES), help="Only in this state.")
@click.option("--after", default="", help="Continue after this number.")
@click.option("--limit", type=click.IntRange(1, 10000), default=1000, show_default=True)
def list_(
    output: Output, side: str | None, peer: str | None, state: str | None, after: str, limit: int
) -> None:
    """List certificates by number."""
    from node.ledger import certificates
    from node.wiring import open_node

    with open_node(output.home, signing=False) as own:
        held = own.ledger.read(lambda tx: certificates.listed(tx, side, peer, after, limit, state))
    items = [_summary(c) for c in held]
    more = held[-1].number if len(held) == limit else None
    columns = {
        "number": "NUMBER", "state": "STATE", "side": "SIDE", "peer": "PEER",
        "issued_on": "ISSUED", "expires_on": "EXPIRES", "carats": "CARATS", "value_usd": "US$",
    }  # fmt: skip
    empty = "No certificates. Issue some (kpnode issue FILE), or wait for a peer's."
    if side or peer or state or after:
        empty = "No certificates like that."
    output.rows({"items": items, "next": more}, items, columns, empty)
    if more:
        output.note(f"There may be more; continue with --after {more}")


@command(context_settings={"ignore_unknown_options": True})
@click.argument("number")
def show(output: Output, number: str) -> None:
    """Show a certificate by NUMBER or doc id: state, timeline, who holds what."""
    from node.errors import NotFoundError
    from node.ledger import certificates
    from node.wiring import open_node

    with open_node(output.home, signing=False) as own:

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
        f"{held.body['parcels']} parcel{'' if held.body['parcels'] == 1 else 's'}",
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
