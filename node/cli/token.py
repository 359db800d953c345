"""`kpnode token`: access for the authority's own systems."""

import click

from node.cli.output import Output, command
from node.clock import iso

SCOPES = ("read", "issue", "confirm", "operate")
"""As `node.office.access.SCOPES`, which --help must not import; a test compares."""


@click.group()
def token() -> None:
    """Make, list and revoke access tokens for the HTTP API."""


@command()
@click.argument("name")
@click.option(
    "--scope", "scopes", type=click.Choice(SCOPES), multiple=True, required=True,
    help="What it may do; repeat. read: see what is held; issue and confirm: act; operate: pause peers, webhooks.",
)  # fmt: skip
@click.option("--days", type=click.IntRange(1, 3650), default=365, show_default=True)
def make(output: Output, name: str, scopes: tuple[str, ...], days: int) -> None:
    """Make a token for the system NAME, and show it: once, it is kept nowhere.

    Every act done with it is in the audit trail with its name. A running node knows it at once.
    """
    from node.office.access import make as act
    from node.wiring import open_node

    with open_node(output.home) as own:
        made, text = act(own, name, set(scopes), days)
    told = {"id": made.id, "token": text, "until": iso(made.until), "scopes": sorted(made.scopes)}
    output.result(told, text)
    output.note(
        f"{name}: id {made.id}, until {iso(made.until)}. Keep it now; it is not shown again."
    )


@command(name="list")
def list_(output: Output) -> None:
    """List tokens, with their last use."""
    from node.ledger import access
    from node.wiring import open_node

    with open_node(output.home, signing=False) as own:
        found, now_s = own.ledger.read(access.listed), own.now_s()
    items = [access.as_json(one, now_s) for one in found]
    columns = {
        "id": "ID", "name": "NAME", "scopes": "SCOPES", "state": "STATE", "until": "UNTIL",
        "last_used": "LAST USED",
    }  # fmt: skip
    shown = [{**item, "scopes": " ".join(item["scopes"])} for item in items]
    empty = "No tokens. Make one: kpnode token make NAME --scope read"
    output.rows({"items": items, "next": None}, shown, columns, empty)


@command()
@click.argument("token_id", metavar="ID")
def revoke(output: Output, token_id: str) -> None:
    """Revoke token ID at once; it stays in the list."""
    from node.ledger.access import as_json
    from node.office.access import revoke as act
    from node.wiring import open_node

    with open_node(output.home) as own:
        found, now_s = act(own, token_id), own.now_s()
    output.result(as_json(found, now_s), f"{found.id}  {found.name}  revoked")


for sub in (make, list_, revoke):
    token.add_command(sub)
