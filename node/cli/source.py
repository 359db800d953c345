"""`kpnode source`: what may be re-exported, out of what came in."""

from typing import Any

import click

from node.cli.acting import officer_options
from node.cli.output import Output, command, day, finishing


@click.group()
def source() -> None:
    """What came in, and how much of it may go out again."""


@command()
@click.argument("number")
@click.option("--from", "issuer", metavar="AUTHORITY", required=True, help="Who issued it.")
@click.option("--carats", required=True, help="That came in, e.g. 120.50.")
@click.option("--received-on", metavar="DATE", required=True, help="YYYY-MM-DD.")
@click.option("--issued-on", metavar="DATE", help="As on the paper, YYYY-MM-DD.")
@click.option("--value-usd", help="As on the paper, e.g. 20000.00.")
@officer_options
def admit(
    output: Output, number: str, office: str | None, officer: str | None, **told: Any
) -> None:
    """Put on record that goods were admitted with certificate NUMBER on paper only.

    A re-export may name it as its source from then on. Many at once: kpnode certificate import.
    """
    from node.office.officer import Officer
    from node.office.sources import admit_paper
    from node.wiring import open_node

    for name in ("received_on", "issued_on"):
        if told[name] is not None:
            day(f"--{name.replace('_', '-')}", told[name])
    with finishing():
        with open_node(output.home) as own:
            who = Officer(office, officer)
            doc_id = admit_paper(own, number, who, **told)
        done = {"number": number, "doc_id": doc_id, "carats": told["carats"]}
        output.result(done, f"{number}  admitted on paper\ndocument  {doc_id}")


@command()
@click.argument("number")
@click.option("--more", metavar="CARATS", help="So much more may go out.")
@click.option("--less", metavar="CARATS", help="So much less, e.g. a processing loss.")
@click.option("--reason", required=True, help="Why, in words.")
@officer_options
def adjust(
    output: Output,
    number: str,
    more: str | None,
    less: str | None,
    reason: str,
    office: str | None,
    officer: str | None,
) -> None:
    """Say why more, or less, than came in with NUMBER may go out again."""
    from node.office.officer import Officer
    from node.office.sources import adjust as act
    from node.wiring import open_node

    if (more is None) == (less is None):
        raise click.UsageError("give one of --more and --less")
    change, carats = ("more", more) if more is not None else ("less", less)
    with finishing():
        with open_node(output.home) as own:
            who = Officer(office, officer)
            doc_id = act(own, number, who, carats=carats or "", change=change, reason=reason)
        told = {"number": number, "doc_id": doc_id, "change": change, "carats": carats}
        output.result(told, f"{number}  {carats} ct {change}\ndocument  {doc_id}")


@command()
@click.argument("number")
def show(output: Output, number: str) -> None:
    """Show the account of NUMBER: what came in, what went out, what is left."""
    from node.watch.accounts import account
    from node.wiring import open_node

    with open_node(output.home, signing=False) as own:
        told = account(own, number)
    lines = [
        f"{number}  {told['left']} ct left",
        f"came in    {told['came_in']} ct{' (on paper)' if told['on_paper'] else ''}",
        f"adjusted   {told['adjusted']} ct",
        f"went out   {told['went_out']} ct",
        *(
            f"  {u['number']}  {u['carats']} ct  {u['state']}{'' if u['counts'] else ' (back again)'}"
            for u in told["uses"]
        ),
    ]
    output.result(told, "\n".join(lines))


for sub in (admit, adjust, show):
    source.add_command(sub)
