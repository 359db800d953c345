"""What an importing authority does with goods and the certificate they came with."""

from typing import TYPE_CHECKING, Any

import click

from node.cli.acting import acting, read_json
from node.cli.output import Output, command, day, finishing

if TYPE_CHECKING:
    from node.authority import OwnAuthority
    from node.office.act import Done
    from node.office.officer import Officer


@command()
@click.argument("number")
@click.option("--paper", metavar="SHA256", help="Base64url digest of the paper's scan.")
@click.option(
    "--from", "issuer", metavar="AUTHORITY", help="For a certificate on paper only: who issued it."
)
@click.option("--issued-on", metavar="DATE", help="With --from: its day of issue, YYYY-MM-DD.")
@click.option("--office", help="The office that acts.")
@click.option("--officer", help="The officer who acts.")
def present(
    output: Output,
    number: str,
    paper: str | None,
    issuer: str | None,
    issued_on: str | None,
    office: str | None,
    officer: str | None,
) -> None:
    """Put on record that goods and paper of NUMBER are here.

    Where the document has not come, name the issuer with --from; the document is presented already
    when it comes. The register of alerts is asked: its own participant's alert refuses, another's
    flags the goods, and the node holds them.
    """
    from node.domain.states import ON_PAPER
    from node.ledger import certificates, papers, register
    from node.office.attend import attend
    from node.office.goods import present_paper, record
    from node.office.officer import Officer
    from node.wiring import open_node

    who = Officer(office, officer)
    if issued_on is not None:
        day("--issued-on", issued_on)
        if issuer is None:
            raise click.UsageError("--issued-on is for a certificate on paper only: name --from")
    with finishing():
        with open_node(output.home) as own:
            if issuer is None:
                done = record(own, "presentation", number, who, {"paper": paper})
                told = {"number": number, "doc_id": done.doc_id, "to": done.to, "state": done.state}
                attend(own)
                now = own.ledger.read(lambda tx: certificates.by_number(tx, number))
                told["state"] = now.state if now else done.state
            else:
                doc_id = present_paper(
                    own, number, who, issuer=issuer, paper=paper, issued_on=issued_on
                )
                attend(own)
                seen = own.ledger.read(lambda tx: papers.by_number(tx, number))
                told = {"number": number, "doc_id": doc_id, "to": own.name,
                        "state": seen.state if seen else ON_PAPER}  # fmt: skip
            alerts = own.ledger.read(lambda tx: register.on(tx, number))
        flags = [
            {"doc_id": a.doc_id, "by": a.iss, "subject": a.subject, "reason": a.reason}
            for a in alerts
        ]
        lines = [f"{number}  {told['state']}", f"document  {told['doc_id']}"]
        lines += [f"FLAGGED by {a['by']}: {a['subject']}, {a['reason']}" for a in flags]
        output.result({**told, "alerts": flags}, "\n".join(lines))


@command()
@click.argument("number")
@click.option("--from", "issuer", metavar="AUTHORITY", required=True, help="Who issued it.")
@click.option(
    "--carrier", required=True, help="Who carries the goods and attests that they are unopened."
)
@click.option("--seal", "seals", multiple=True, required=True, help="A container's seal; repeat.")
@click.option("--office", help="The office that acts.")
@click.option("--officer", help="The officer who acts.")
def transit(
    output: Output,
    number: str,
    issuer: str,
    carrier: str,
    seals: tuple[str, ...],
    office: str | None,
    officer: str | None,
) -> None:
    """Put goods of NUMBER in transit on record; no import, no confirmation."""
    from node.office.goods import note_transit
    from node.office.officer import Officer
    from node.wiring import open_node

    with finishing():
        with open_node(output.home) as own:
            doc_id = note_transit(
                own, number, Officer(office, officer), issuer=issuer, carrier=carrier, seals=seals
            )
        output.result(
            {"number": number, "doc_id": doc_id}, f"{number}  in transit\ndocument  {doc_id}"
        )


@acting()
@click.option(
    "--found",
    metavar="FILE",
    required=True,
    help="What was found, as JSON: parcels, lines, totals, seals_intact.",
)
@click.option("--place", required=True, help="Where.")
@click.option("--attended", help="Who attended for the importer.")
def inspect(
    node: "OwnAuthority", number: str, officer: "Officer", found: Any, place: Any, attended: Any
) -> "Done":
    """Put the inspection of the goods of NUMBER on record.

    What an earlier one found stays found until another says otherwise.
    """
    from node.office.goods import record

    details = {"found": read_json(found, "what was found"), "place": place, "attended": attended}
    return record(node, "inspection", number, officer, details)


@acting()
@click.option("--reason", required=True, help="What differs, in words.")
@click.option(
    "--proposed",
    metavar="FILE",
    help="The values found, as JSON: parcels, lines, totals, exporter, importer.",
)
@click.option("--seals-broken", is_flag=True, help="The seals were not intact.")
def dispute(
    node: "OwnAuthority",
    number: str,
    officer: "Officer",
    reason: Any,
    proposed: Any,
    seals_broken: Any,
) -> "Done":
    """Tell the exporter that goods and certificate NUMBER differ."""
    from node.office import dispute as verb

    values = read_json(proposed, "the values found") if proposed else None
    return verb.dispute(
        node, number, officer, reason=reason, proposed=values, seals_intact=not seals_broken
    )


@acting()
def amend(node: "OwnAuthority", number: str, officer: "Officer") -> "Done":
    """Put the values that the exporter of NUMBER has consented to on record."""
    from node.office import dispute as verb

    return verb.amend(node, number, officer)


@acting(name="order-return")
@click.option("--technical-number", required=True, help="Of the technical certificate.")
@click.option("--reason", required=True, help="Why, in words.")
@click.option("--consulted", metavar="WHOM", required=True, help="At the exporting authority.")
@click.option("--consulted-on", metavar="DATE", required=True, help="YYYY-MM-DD.")
@click.option("--reference", help="Of the consultation.")
@click.option("--seal", "seals", multiple=True, help="A container's seal; repeat.")
def order_return(
    node: "OwnAuthority",
    number: str,
    officer: "Officer",
    technical_number: Any,
    reason: Any,
    consulted: Any,
    consulted_on: Any,
    reference: Any,
    seals: Any,
) -> "Done":
    """Send the goods of NUMBER back, with a technical certificate of sixty days."""
    from node.office import returning

    consultation = {"with": consulted, "on": consulted_on}
    if reference:
        consultation["reference"] = reference
    return returning.order_return(
        node, number, officer, technical_number=technical_number, reason=reason,
        consultation=consultation, seals=seals,
    )  # fmt: skip


@acting(name="send-to-laboratory")
@click.option("--technical-number", required=True, help="Of the technical certificate.")
@click.option("--reason", required=True, help="Why, in words.")
@click.option("--consignee", required=True, help="The laboratory.")
@click.option("--seal", "seals", multiple=True, help="A container's seal; repeat.")
def send_to_laboratory(
    node: "OwnAuthority",
    number: str,
    officer: "Officer",
    technical_number: Any,
    reason: Any,
    consignee: Any,
    seals: Any,
) -> "Done":
    """Send the goods of NUMBER to a laboratory, with a technical certificate."""
    from node.office import returning

    return returning.send_to_laboratory(
        node, number, officer, technical_number=technical_number, reason=reason,
        consignee=consignee, seals=seals,
    )  # fmt: skip


@acting(name="take-back")
def take_back(node: "OwnAuthority", number: str, officer: "Officer") -> "Done":
    """Put on record that the goods of NUMBER are back from the laboratory."""
    from node.office.goods import record

    return record(node, "laboratory-return", number, officer, {})


@acting()
@click.option("--reason", required=True, help="Why, in words.")
@click.option("--case", help="The case reference.")
def hold(node: "OwnAuthority", number: str, officer: "Officer", reason: Any, case: Any) -> "Done":
    """Hold the goods of NUMBER until a decision."""
    from node.office.goods import record

    return record(node, "hold", number, officer, {"reason": reason, "case": case})


@acting()
@click.option("--reason", required=True, help="Why, in words.")
def release(node: "OwnAuthority", number: str, officer: "Officer", reason: Any) -> "Done":
    """Release the goods of NUMBER that were held."""
    from node.office.goods import record

    return record(node, "release", number, officer, {"reason": reason})


@acting()
@click.option("--reason", required=True, help="Why, in words.")
@click.option("--case", required=True, help="The case reference.")
def seize(node: "OwnAuthority", number: str, officer: "Officer", reason: Any, case: Any) -> "Done":
    """Seize the goods of NUMBER that were held."""
    from node.office.goods import record

    return record(node, "seizure", number, officer, {"reason": reason, "case": case})
