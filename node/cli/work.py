"""`kpnode work` and `kpnode overdue`: what waits for an officer."""

import sys
from typing import Any

import click

from node.cli.acting import officer_options
from node.cli.output import FAILURE, Output, command, finishing

NAMES = (
    "to-confirm", "disputed", "overdue", "expiring", "expired-in-transit", "never-presented",
    "unannounced", "inquiries", "technical", "flagged", "vigilance",
)  # fmt: skip
"""The lists of `node.watch.worklists`, which --help must not import; a test compares."""

COLUMNS = {
    "number": "NUMBER", "peer": "PEER", "state": "STATE", "due": "DUE", "days": "DAYS PAST",
    "turn": "TURN", "detail": "DETAIL", "document": "DOCUMENT",
}  # fmt: skip


class Days(click.ParamType):  # type: ignore[type-arg]
    """A number of days, with or without a ``d``."""

    name = "days"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        """Days as an integer from 0 to 3650."""
        text = str(value).removesuffix("d")
        if not (text.isascii() and text.isdigit() and len(text) < 5 and int(text) <= 3650):
            self.fail(f"expected a number of days like 30d, got {value!r}", param, ctx)
        return int(text)


@command()
@click.argument("name", metavar="[LIST]", required=False, type=click.Choice(NAMES))
@click.option("--within", type=Days(), default="14d", show_default=True, help="For expiring.")
def work(output: Output, name: str | None, within: int) -> None:
    """Show what waits for an officer: all lists with their counts, or one LIST.

    Lists: to-confirm, disputed, overdue, expiring, expired-in-transit, never-presented,
    unannounced, inquiries, technical, flagged, vigilance.
    """
    from node.watch import worklists
    from node.wiring import open_node

    with open_node(output.home, signing=False) as own:
        if name is None:
            items = worklists.overview(own)
            columns = {"list": "LIST", "count": "COUNT", "mine": "OUR TURN", "means": "MEANS"}
            output.rows({"items": items, "next": None}, items, columns)
            return
        items = worklists.read(own, name, within_days=within)
    one = worklists.LISTS[name]
    _show(output, items, f"{one.title}: nothing waits.")
    if items:
        output.note(f"What to do: {one.do}")


@command()
@click.option(
    "--fail-on", "older_than", type=Days(), metavar="DAYS",
    help="List what waits longer, e.g. 30d, and end with 1 if there is any; for cron.",
)  # fmt: skip
@click.option("--remind", is_flag=True, help="Ask each importer whether the goods have arrived.")
@officer_options
def overdue(
    output: Output, older_than: int | None, remind: bool, office: str | None, officer: str | None
) -> None:
    """Show certificates issued here whose arrival is not confirmed in time.

    In time is what peers.toml says (overdue_days, for all or for a peer; 30 by default), counted
    from the day of issue; no rule of the scheme fixes it.
    """
    from node.office import remind as reminding
    from node.office.officer import Officer
    from node.watch import worklists
    from node.wiring import open_node

    with finishing():
        with open_node(output.home, signing=remind) as own:
            items = worklists.read(own, "overdue", older_than_days=older_than)
            sent = []
            if remind:
                numbers = [item["number"] for item in items]
                sent = reminding.remind(own, numbers, Officer(office, officer))
        reminded = {one.number: one.doc_id for one in sent}
        _show(
            output, [{**i, "reminder": reminded.get(i["number"])} for i in items], "None overdue."
        )
    for one in sent:
        output.note(f"{one.number}: {one.to} is asked whether it has arrived")
    if older_than is not None and items:
        sys.exit(FAILURE)


def _show(output: Output, items: list[dict[str, Any]], empty: str) -> None:
    output.rows({"items": items, "next": None}, items, COLUMNS, empty)
