"""`kpnode confirm`: goods have arrived."""

import click

from node.cli.output import Output, command, finishing, read_file

MAX_INSPECTION_BYTES = 1024 * 1024


@command()
@click.argument("numbers", metavar="NUMBER...", nargs=-1, required=True)
@click.option("--received-on", metavar="DATE", help="YYYY-MM-DD [today].")
@click.option(
    "--inspection", metavar="FILE", help="What was found, as JSON (schemas/inspection.v1.json)."
)
@click.option("--office", help="The office that confirms.")
@click.option("--officer", help="The officer who confirms.")
def confirm(
    output: Output,
    numbers: tuple[str, ...],
    received_on: str | None,
    inspection: str | None,
    office: str | None,
    officer: str | None,
) -> None:
    """Confirm to the exporter that the goods of certificate NUMBER arrived as issued.

    Several numbers are confirmed together or not at all. Figures in the inspection that differ
    from the certificate are refused: goods that differ are a discrepancy, not an arrival.
    """
    from node import strict_json
    from node.errors import refuse
    from node.office.confirm import confirm as act
    from node.office.officer import Officer
    from node.wiring import open_node

    found = None
    if inspection is not None:
        if len(numbers) > 1:
            raise click.UsageError("--inspection is of one certificate")
        try:
            found = strict_json.loads(read_file(inspection, MAX_INSPECTION_BYTES))
        except ValueError as error:
            raise refuse("KP-J-001", str(error)) from None
        if not isinstance(found, dict):
            raise refuse("KP-D-001", "expected an object with what was found")
    with finishing():
        with open_node(output.home) as own:
            done = act(
                own, numbers, Officer(office, officer), received_on=received_on, inspection=found
            )
        items = [{"number": c.number, "doc_id": c.doc_id, "to": c.to} for c in done]
        columns = {"number": "NUMBER", "to": "TO", "doc_id": "CONFIRMATION"}
        output.rows({"confirmed": items}, items, columns)
