"""`kpnode draft`: reserve numbers, inspect before export, issue by another officer."""

import click

from node.cli.acting import officer_options, read_json
from node.cli.output import Output, command, finishing, read_file

INSPECTED = "inspected before export"


@click.group()
def draft() -> None:
    """Draft certificates, inspect their goods, then issue or withdraw them."""


@command()
@click.argument("file")
@officer_options
def make(output: Output, file: str, office: str | None, officer: str | None) -> None:
    """Draft a certificate for each shipment in FILE and reserve its number.

    FILE is what `kpnode issue` takes, and is checked in the same way. The number of a draft is
    never used for anything else, whatever becomes of it.
    """
    from node.office.draft import draft as act
    from node.office.issue import MAX_INPUT_BYTES, read_shipments
    from node.office.officer import Officer
    from node.wiring import open_node

    shipments = read_shipments(read_file(file, MAX_INPUT_BYTES))
    with finishing():
        with open_node(output.home) as own:
            numbers = act(own, shipments, Officer(office, officer))
        output.result({"drafted": numbers}, "\n".join(numbers) or "Nothing to draft.")


@command(name="list")
def list_(output: Output) -> None:
    """List drafts that wait to be issued or withdrawn."""
    from node.ledger import drafts
    from node.wiring import open_node

    with open_node(output.home, signing=False) as own:
        held = own.ledger.read(drafts.listed)
    items = [
        {
            "number": d.number,
            "state": d.state,
            "officer": d.officer,
            "to": d.shipment["to"],
            "carats": d.shipment["totals"]["carats"],
            "doc_id": d.doc_id,
        }
        for d in held
    ]
    columns = {
        "number": "NUMBER",
        "state": "STATE",
        "officer": "DRAFTED BY",
        "to": "TO",
        "carats": "CARATS",
    }
    output.rows({"items": items, "next": None}, items, columns, "No drafts wait.")


@command()
@click.argument("number")
@click.option("--found", metavar="FILE", required=True, help="What was found, as JSON.")
@click.option("--place", required=True, help="Where.")
@officer_options
def inspect(
    output: Output, number: str, found: str, place: str, office: str | None, officer: str | None
) -> None:
    """Put the inspection of the goods of draft NUMBER on record."""
    from node.office.draft import inspect_export
    from node.office.officer import Officer
    from node.wiring import open_node

    details = read_json(found, "what was found")
    with finishing():
        with open_node(output.home) as own:
            inspect_export(own, number, Officer(office, officer), found=details, place=place)
        output.result({"number": number, "state": INSPECTED}, f"{number}  {INSPECTED}")


@command()
@click.argument("number")
@click.option("--reason", required=True, help="Why, in words.")
@officer_options
def withdraw(
    output: Output, number: str, reason: str, office: str | None, officer: str | None
) -> None:
    """Refuse or give up draft NUMBER; the number is void from then on."""
    from node.office.draft import withdraw as act
    from node.office.officer import Officer
    from node.wiring import open_node

    with finishing():
        with open_node(output.home) as own:
            act(own, number, Officer(office, officer), reason=reason)
        output.result({"number": number, "state": "withdrawn"}, f"{number}  withdrawn")


@command()
@click.argument("number")
@officer_options
def issue(output: Output, number: str, office: str | None, officer: str | None) -> None:
    """Issue draft NUMBER; where four eyes are the policy, by another officer."""
    from node.office.draft import issue_draft
    from node.office.officer import Officer
    from node.wiring import open_node

    with finishing():
        with open_node(output.home) as own:
            done = issue_draft(own, number, Officer(office, officer))
        told = {"number": done.number, "doc_id": done.doc_id, "to": done.to}
        output.result({"issued": [told]}, f"{done.number}  issued\ndocument  {done.doc_id}")


for sub in (make, list_, inspect, withdraw, issue):
    draft.add_command(sub)
