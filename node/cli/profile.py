"""`kpnode profile`: what certificates of an authority look like."""

import click

from node.cli.acting import officer_options, read_json
from node.cli.output import Output, command, day, finishing


@click.group()
def profile() -> None:
    """Announce what our certificates look like, and see what others have announced."""


@command()
@click.argument("file", required=False)
@officer_options
def publish(output: Output, file: str | None, office: str | None, officer: str | None) -> None:
    """Send the profile in FILE to every peer; without FILE, the last one to peers that lack it.

    FILE is JSON (schemas/announcement.v1.json): from, number_pattern, validity and statement; if
    wanted ranges, signatories, capabilities and legal_basis. From its day on it counts here, too.
    """
    from node.office.officer import Officer
    from node.office.profile import publish as act
    from node.wiring import open_node

    told = None if file is None else read_json(file, "the profile")
    with finishing():
        with open_node(output.home) as own:
            done = act(own, told, Officer(office, officer))
        to = list(done.to)
        text = f"from {done.begins} on, to {', '.join(to)}" if to else "Every peer has it already."
        output.result({"from": done.begins, "to": to}, text)


@command(name="list")
def list_(output: Output) -> None:
    """List all profiles that were announced, oldest first."""
    from node.watch.reference import announced
    from node.wiring import open_node

    with open_node(output.home, signing=False) as own:
        told = announced(own)
    columns = {
        "authority": "AUTHORITY", "from": "FROM", "number_pattern": "NUMBERS", "doc_id": "DOCUMENT",
    }  # fmt: skip
    empty = "No profile yet; the package's data counts. Yours: kpnode profile publish FILE"
    output.rows(told, told["items"], columns, empty)


@command()
@click.argument("authority")
@click.option("--on", "text", metavar="DATE", help="The rules of this day, YYYY-MM-DD [today].")
def show(output: Output, authority: str, text: str | None) -> None:
    """Show the rules of AUTHORITY's certificates on a day, and where they come from."""
    from node.office.officer import day_of
    from node.wiring import open_node

    asked = None if text is None else day("--on", text)
    with open_node(output.home, signing=False) as own:
        when = asked or day_of(own, own.clock.now())
        known = own.ledger.read(own.reference)
    rules, source = known.profile(authority, when), known.announced(authority, when)
    output.result(
        {
            "authority": authority,
            "on": when.isoformat(),
            "from": "profile document" if source else "package",
            "number_pattern": rules.number_pattern.pattern,
            "ranges": None if rules.ranges is None else [list(one) for one in rules.ranges],
            "validity": {"days": rules.validity.days, "months": rules.validity.months},
            "statement": rules.statement,
            "capabilities": None if rules.capabilities is None else sorted(rules.capabilities),
            "signatories": None if rules.signatories is None else sorted(rules.signatories),
        }
    )


for sub in (publish, list_, show):
    profile.add_command(sub)
