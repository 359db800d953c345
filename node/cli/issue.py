"""`kpnode issue`: certificates for shipments."""

import click

from node.cli.output import Output, command, finishing, progress, read_file


@command()
@click.argument("file")
@click.option("--office", help="The office that issues.")
@click.option("--officer", help="The officer who issues.")
def issue(output: Output, file: str, office: str | None, officer: str | None) -> None:
    """Issue a certificate for each shipment in FILE (JSON; - for standard input).

    FILE holds one shipment or an array of them, as in schemas/shipment.v1.json. Either all are
    issued, signed, logged and queued for their destinations, or none.
    """
    from node.office.issue import MAX_INPUT_BYTES, read_shipments
    from node.office.issue import issue as act
    from node.office.officer import Officer
    from node.wiring import open_node

    shipments = read_shipments(read_file(file, MAX_INPUT_BYTES))
    with finishing():
        with open_node(output.home) as own:
            issued = act(own, shipments, Officer(office, officer), progress)
        items = [{"number": i.number, "doc_id": i.doc_id, "to": i.to} for i in issued]
        columns = {"number": "NUMBER", "to": "TO", "doc_id": "DOCUMENT"}
        output.rows({"issued": items}, items, columns, "Nothing to issue.")
    output.note(f"{len(items)} issued; a running node delivers them, or: kpnode sync")
