"""`kpnode inquiry`: ask about a number, and answer who asks."""

from typing import Any

import click

from node.cli.acting import officer_options, read_json
from node.cli.output import Output, command, finishing, page
from node.domain.inquiry import VERDICTS

ANSWERS = tuple(dict.fromkeys(v for verdicts in VERDICTS.values() for v in verdicts))


@click.group()
def inquiry() -> None:
    """Ask whether a certificate is genuine or has arrived, and answer who asks."""


@command()
@click.argument("number")
@click.option(
    "--asks", type=click.Choice(list(VERDICTS)), default="genuine", show_default=True,
    help="What is asked: is it genuine, have the goods arrived, where did they come from.",
)  # fmt: skip
@click.option(
    "--to", metavar="AUTHORITY", help="Whom [the certificate's other side, or its issuer]."
)
@click.option("--read", metavar="FILE", help="Values read from the paper, as JSON (- for stdin).")
@click.option("--paper", metavar="SHA256", help="Base64url digest of the paper's scan.")
@click.option("--answer-by", metavar="DATE", help="YYYY-MM-DD [in a week].")
@click.option("--reason", help="Why it is asked, in words.")
@click.option("--again", is_flag=True, help="It was asked before and has no answer.")
@officer_options
def ask(output: Output, number: str, office: str | None, officer: str | None, **told: Any) -> None:
    """Ask a peer about certificate NUMBER.

    What was read from the paper is compared by the issuer: issued_on, expires_on, parcels, carats,
    value_usd, exporter, importer, mining_origins. Where its document is not here, it is sent again.
    """
    from node.office.inquire import ask as act
    from node.office.officer import Officer
    from node.wiring import open_node

    if told["read"] is not None:
        told["read"] = read_json(told["read"], "values read from the paper")
    with finishing():
        with open_node(output.home) as own:
            sent = act(own, number, Officer(office, officer), **told)
        _show_sent(output, sent)


@command(context_settings={"ignore_unknown_options": True})
@click.argument("inquiry")
@click.option("--verdict", type=click.Choice(ANSWERS), required=True, help="The answer.")
@click.option("--remarks", help="In words; the asker reads them.")
@officer_options
def answer(
    output: Output,
    inquiry: str,
    verdict: str,
    remarks: str | None,
    office: str | None,
    officer: str | None,
) -> None:
    """Answer INQUIRY: its doc id, or the number it is about.

    The destination of a certificate is answered by the node itself. Anyone else is told by an
    officer, and no more than genuine or not; "disclosed" gives the sources of a re-export to its
    destination.
    """
    from node.office.inquire import answer as act
    from node.office.officer import Officer
    from node.wiring import open_node

    with finishing():
        with open_node(output.home) as own:
            sent = act(own, inquiry, Officer(office, officer), verdict=verdict, remarks=remarks)
        _show_sent(output, sent)


@command(name="list")
@click.option("--after", default="", help="Continue after this inquiry.")
@click.option("--limit", type=click.IntRange(1, 10000), default=1000, show_default=True)
def list_(output: Output, after: str, limit: int) -> None:
    """List inquiries, oldest first; those that wait: kpnode work inquiries."""
    from node.watch.correspondence import inquiries_after
    from node.wiring import open_node

    with open_node(output.home, signing=False) as own:
        found = inquiries_after(own, after, limit)
    columns = {
        "asked_at": "ASKED", "number": "NUMBER", "asks": "ASKS", "way": "", "peer": "PEER",
        "answer_by": "ANSWER BY", "verdict": "VERDICT", "doc_id": "INQUIRY",
    }  # fmt: skip
    page(output, found, columns, "No inquiries yet.")


@command(context_settings={"ignore_unknown_options": True})
@click.argument("inquiry")
def show(output: Output, inquiry: str) -> None:
    """Show INQUIRY by its doc id, with its answer."""
    from node.watch.correspondence import inquiry as read
    from node.wiring import open_node

    with open_node(output.home, signing=False) as own:
        output.result(read(own, inquiry))


def _show_sent(output: Output, sent: Any) -> None:
    told = {"number": sent.number, "doc_id": sent.doc_id, "to": sent.to}
    output.result(told, f"{sent.number}  to {sent.to}\ndocument  {sent.doc_id}")


for sub in (ask, answer, list_, show):
    inquiry.add_command(sub)
