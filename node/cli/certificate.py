"""`kpnode certificate`: what is held, on either side."""

from typing import Any

import click

from node.cli.output import Output, command, page
from node.cli.table import export, import_
from node.domain.states import FAMILIES


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
@click.option(
    "--seal", metavar="NUMBER", help="Only what this seal is on, also of a return or laboratory."
)
@click.option("--after", default="", help="Continue after this number.")
@click.option("--limit", type=click.IntRange(1, 10000), default=1000, show_default=True)
def list_(
    output: Output,
    side: str | None,
    peer: str | None,
    state: str | None,
    party: str | None,
    seal: str | None,
    after: str,
    limit: int,
) -> None:
    """List certificates by number."""
    from node.watch.certificates import listed
    from node.wiring import open_node

    with open_node(output.home, signing=False) as own:
        found = listed(
            own, side=side, peer=peer, state=state, party=party, seal=seal, after=after, limit=limit
        )
    columns = {
        "number": "NUMBER", "state": "STATE", "side": "SIDE", "peer": "PEER",
        "issued_on": "ISSUED", "expires_on": "EXPIRES", "carats": "CARATS", "value_usd": "US$",
        "attention": "ATTENTION",
    }  # fmt: skip
    empty = "No certificates. Issue some (kpnode issue FILE), or wait for a peer's."
    if side or peer or state or party or seal or after:
        empty = "No certificates like that."
    page(output, found, columns, empty)


@command(context_settings={"ignore_unknown_options": True})
@click.argument("number")
def show(output: Output, number: str) -> None:
    """Show a certificate by NUMBER or doc id: state, timeline, who holds what."""
    from node.watch.certificates import shown
    from node.wiring import open_node

    with open_node(output.home, signing=False) as own:
        told = shown(own, number)
    output.result(told, lambda: "\n".join(_lines(told)))


def _lines(told: dict[str, Any]) -> list[str]:
    """A certificate for people."""
    from node.watch import figures

    body, now = told["body"], told["figures"]
    return [
        f"{told['number']}  {told['state']} ({told['meaning']})",
        *([f"attention    {told['attention']}"] if told["attention"] else []),
        f"document     {told['doc_id']}",
        f"held by      {', '.join(told['held_by'])}",
        f"from, to     {body['provenance']} → {body['destination']}",
        *(f"{label:<12} {text}" for label, text in figures.rows(now)),
        *(["             as amended; the certificate itself never changes"] if now != body else []),
        f"valid        {body['issued_on']} to {body['expires_on']}",
        "",
        *(
            f"{e['at']}  {e['what']:<24} {e['who']}{_dash(e['detail'])}"
            + (
                f"\n{'':22}{e['document']}{_dash(e['state'] and 'then ' + e['state'])}"
                if e["document"]
                else ""
            )
            + "".join(f"\n{'':22}{label:<12} {text}" for label, text in figures.rows(e["values"]))
            for e in told["timeline"]
        ),
        *(
            f"OPEN  {'refused there' if i['sent'] else 'refused here'}: {i['document']} "
            f"{i['code']}: {i['detail']}"
            for i in told["open"]
        ),
        *(
            f"ALERT {a['subject']}, by {a['by']}, {a['standing']}: {a['reason']} ({a['doc_id']})"
            for a in told["alerts"]
        ),
        *(
            f"ASKED{'' if q['way'] == 'to' else ' BY'} {q['peer']}: {q['asks']}? "
            f"{q['verdict'] or 'answer by ' + q['answer_by']}"
            for q in told["inquiries"]
        ),
        "",
        "next: " + (", ".join(dict.fromkeys(map(_step, told["next"]))) or "nothing more"),
    ]


@command()
def papers(output: Output) -> None:
    """List certificates presented on paper whose document has not come, and what became of the goods."""
    from dataclasses import asdict

    from node.ledger import papers as read
    from node.wiring import open_node

    with open_node(output.home, signing=False) as own:
        found = own.ledger.read(read.without_document)
    items = [asdict(paper) for paper in found]
    columns = {"number": "NUMBER", "authority": "ISSUER", "state": "STATE", "doc_id": "RECORD"}
    output.rows({"items": items, "next": None}, items, columns, "Every paper has its document.")


def _dash(text: str) -> str:
    return f" - {text}" if text else ""


def _step(step: dict[str, str]) -> str:
    """A next step for people: a revocation is one, whatever its reason."""
    kind = step["event"].partition(":")[0]
    return f"{kind if kind == 'revocation' else step['event']} ({step['who']})"


certificate.add_command(list_)
certificate.add_command(show)
certificate.add_command(papers)
certificate.add_command(import_)
certificate.add_command(export)
