"""`kpnode participant`: who takes part in the scheme on a day, and under which restrictions."""

from typing import Any

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
    from node.office.officer import day_of
    from node.wiring import open_node

    asked = None if text is None else day("--on", text)
    with open_node(output.home, signing=False) as own:
        when, known = asked or day_of(own, own.clock.now()), own.ledger.read(own.reference)
        replaced = [name for name, _ in own.config.reference]
    items: list[dict[str, Any]] = []
    for code in known.participants_on(when):
        row = known.standing(code, when)
        assert row is not None
        embargo = known.embargo(code, when)
        items.append(
            {
                "code": code,
                "name": row.name,
                "status": row.status,
                "zones": [zone.name for zone in known.zones_of(code, when)],
                "embargo": embargo.source if embargo else None,
                "note": row.scope,
            }
        )
    shown = [{**item, "zones": ", ".join(item["zones"])} for item in items]
    columns = {
        "code": "CODE", "name": "PARTICIPANT", "status": "STATUS", "zones": "ZONES",
        "embargo": "EMBARGO", "note": "NOTE",
    }  # fmt: skip
    value = {"on": when.isoformat(), "replaced": replaced, "items": items, "next": None}
    output.rows(value, shown, columns)


participant.add_command(list_)
