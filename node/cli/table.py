"""`kpnode certificate import` and `export`, `kpnode dossier`: tables and files for other people."""

import sys
from pathlib import Path

import click

from node.cli.acting import officer_options
from node.cli.output import REFUSED, Output, command, finishing, month, progress, read_file


@command(name="import")
@click.argument("file")
@click.option("--apply", is_flag=True, help="Do it; without this it is only tried.")
@officer_options
def import_(
    output: Output, file: str, apply: bool, office: str | None, officer: str | None
) -> None:
    """Take in a CSV table of certificates: first what would happen, with --apply for good.

    Certificates of this participant are issued; others, with confirmed_on, are recorded as
    admitted on paper, so that re-exports can name them. The columns are those of kpnode
    certificate export; a certificate of several lines has several rows, which say the same of the
    whole. All of it or nothing.
    """
    from node.office.import_table import REFUSED as WILL_NOT
    from node.office.import_table import import_table
    from node.office.officer import Officer
    from node.office.table import MAX_TABLE_BYTES
    from node.wiring import open_node

    raw = read_file(file, MAX_TABLE_BYTES)
    with finishing():
        with open_node(output.home) as own:
            steps = import_table(own, raw, Officer(office, officer), apply=apply, progress=progress)
        items = [step.as_json() for step in steps]
        refused = sum(step.will == WILL_NOT for step in steps)
        done = apply and not refused
        columns = {
            "line": "LINE", "number": "NUMBER", "will": "DONE" if done else "WOULD", "peer": "PEER",
            "carats": "CARATS", "code": "CODE", "pointer": "WHERE", "detail": "WHY",
        }  # fmt: skip
        output.rows({"applied": done, "items": items}, items, columns, "The table has no rows.")
    if refused:
        output.note(f"{refused} of {len(steps)} refused; nothing was recorded.")
        sys.exit(REFUSED)
    if not apply and steps:
        output.note("Nothing is recorded yet; the same with --apply does it.")


@command()
@click.argument("file", default="-")
@click.option("--month", "text", metavar="YYYY-MM", help="Only those issued in this month.")
@click.option("--side", type=click.Choice(["exporter", "importer"]), help="Only this side.")
def export(output: Output, file: str, text: str | None, side: str | None) -> None:
    """Write certificates as a CSV table to FILE (- for standard output).

    The row of EU Regulation 2368/2002 article 10, with destination, parties, parcels, state and
    confirmation; one row for each line of a certificate. No cell is a formula. What was admitted on
    paper only is at the end, unless a month is asked for.
    """
    from node import durable_file
    from node.office import dossier
    from node.wiring import open_node

    wanted = None if text is None else month("--month", text)

    with open_node(output.home, signing=False) as own:
        made = own.ledger.read(lambda tx: dossier.as_csv(tx, wanted, side))
    if file == "-":
        sys.stdout.buffer.write(made.encode())
        return
    durable_file.write(Path(file), made.encode())
    lines = made.count("\r\n") - 1
    output.result({"file": file, "rows": lines}, f"{file}: {lines} rows")


@command()
@click.argument("month_", metavar="YYYY-MM")
@click.argument("file")
def dossier(output: Output, month_: str, file: str) -> None:
    """Write the dossier of a month to FILE, a ZIP that others can check by themselves.

    The certificates issued in it, both sides: as a table, as the signed documents with all that
    answers them, with the keys to verify them, counts, and what is still open.
    """
    from node import durable_file
    from node.office.dossier import dossier as make
    from node.wiring import open_node

    wanted = month("YYYY-MM", month_)
    with open_node(output.home, signing=False) as own:
        raw, summary = make(own, wanted)
    durable_file.write(Path(file), raw)
    count = sum(
        row["certificates"] for side in ("exports", "imports") for row in summary[side].values()
    )
    if not summary["complete"]:
        output.note(f"{summary['month']} is not over; what comes later is not in it.")
    told = {"file": file, "bytes": len(raw), "certificates": count, "summary": summary}
    output.result(told, f"{file}: {count} certificates of {summary['month']}, {len(raw)} bytes")
