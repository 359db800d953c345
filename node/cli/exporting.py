"""What an exporting authority does with a certificate it has issued."""

from typing import TYPE_CHECKING, Any

import click

from node.cli.acting import acting

if TYPE_CHECKING:
    from node.authority import OwnAuthority
    from node.office.act import Done
    from node.office.officer import Officer

REASONS = ["void", "replaced", "lost", "stolen", "cancelled"]


@acting()
@click.option("--seal", "seals", multiple=True, required=True, help="A container's seal; repeat.")
def seal(node: "OwnAuthority", number: str, officer: "Officer", seals: Any) -> "Done":
    """Put on record that goods and certificate NUMBER were sealed."""
    from node.office.goods import record

    details = {"containers": [{"seal": name} for name in seals]}
    return record(node, "sealing", number, officer, details)


@acting()
@click.option("--reason", required=True, help="Why, in words.")
def consent(node: "OwnAuthority", number: str, officer: "Officer", reason: Any) -> "Done":
    """Consent to the values that the importer of NUMBER has found."""
    from node.office.dispute import resolve

    return resolve(node, number, officer, consent=True, reason=reason)


@acting()
@click.option("--reason", required=True, help="Why, in words.")
def refuse(node: "OwnAuthority", number: str, officer: "Officer", reason: Any) -> "Done":
    """Refuse the values that the importer of NUMBER has found."""
    from node.office.dispute import resolve

    return resolve(node, number, officer, consent=False, reason=reason)


@acting(name="take-in")
@click.option("--received-on", metavar="DATE", help="YYYY-MM-DD [today].")
def take_in(node: "OwnAuthority", number: str, officer: "Officer", received_on: Any) -> "Done":
    """Take returned goods in: the technical certificate is surrendered, NUMBER lapses."""
    from node.office import returning

    return returning.take_in(node, number, officer, received_on=received_on)


@acting()
@click.option("--reason", type=click.Choice(REASONS), required=True, help="What became of it.")
@click.option("--replaced-by", metavar="NUMBER", help="The certificate in its place.")
@click.option("--remarks", help="In words.")
def revoke(
    node: "OwnAuthority",
    number: str,
    officer: "Officer",
    reason: Any,
    replaced_by: Any,
    remarks: Any,
) -> "Done":
    """Revoke certificate NUMBER, and tell its importer."""
    from node.office import revoke as verb

    return verb.revoke(
        node, number, officer, reason=reason, replaced_by=replaced_by, remarks=remarks
    )
