"""`kpnode participant`: who takes part in the scheme on a day, and under which restrictions."""

import click

from node.cli.output import Output, command, day


@click.group()
def participant() -> None:
    """Participants of the scheme by date."""


@command(name="list")
@click.option("--on", "text", metavar="DATE", help="On this day, YYYY-MM-DD [today].")
def list_(output: Output, text: str | None) -> None:
    """List participants on a day: status, open zones, embargoes on goods mined there.

    An operator replaces a table by a file of the same name in the home's folder reference:
    participants.csv, territories.csv, embargoes.csv, zones.csv.
    """
    from node.watch.reference import participants
    from node.wiring import open_node

    asked = None if text is None else day("--on", text)
    with open_node(output.home, signing=False) as own:
        told = participants(own, asked)
    shown = [{**item, "zones": ", ".join(item["zones"])} for item in told["items"]]
    columns = {
        "code": "CODE", "name": "PARTICIPANT", "status": "STATUS", "zones": "ZONES",
        "embargo": "EMBARGO", "note": "NOTE",
    }  # fmt: skip
    output.rows(told, shown, columns)


participant.add_command(list_)
