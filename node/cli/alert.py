"""`kpnode alert`: warn other authorities, and search what they warn of."""

from typing import Any

import click

from node.cli.acting import officer_options
from node.cli.output import Output, command, finishing
from node.domain.alert import SAYINGS, SUBJECTS

MAX_EVIDENCE_BYTES = 256 * 1024 * 1024


@click.group()
def alert() -> None:
    """Warn of forged, stolen, lost or missing certificates, and search the register."""


def _evidence_options(function: Any) -> Any:
    evidence = click.option(
        "--evidence", "files", metavar="FILE", multiple=True,
        help="A picture or paper; its SHA-256 is told, the file stays here. Repeat.",
    )  # fmt: skip
    return evidence(click.option("--reason", required=True, help="In words.")(function))


@command(name="raise")
@click.argument("subject", type=click.Choice(SUBJECTS))
@click.argument("first", metavar="NUMBER")
@click.argument("last", required=False)
@click.option("--to", multiple=True, metavar="AUTHORITY", help="Only this peer; repeat [all].")
@_evidence_options
@officer_options
def raise_(
    output: Output,
    subject: str,
    first: str,
    last: str | None,
    to: tuple[str, ...],
    reason: str,
    files: tuple[str, ...],
    office: str | None,
    officer: str | None,
) -> None:
    """Warn of NUMBER, or of the range NUMBER to LAST.

    For your own numbers it refuses: nobody accepts or admits them until you withdraw it. For
    others' it flags: who gets such goods holds them until an officer has looked.
    """
    from node.office.alert import raise_alert
    from node.office.officer import Officer
    from node.wiring import open_node

    evidence = [_digest(path) for path in files]
    with finishing():
        with open_node(output.home) as own:
            doc_id = raise_alert(
                own, Officer(office, officer), subject=subject, first=first, last=last,
                reason=reason, evidence=evidence, to=to,
            )  # fmt: skip
        told = {"doc_id": doc_id, "subject": subject, "first": first, "last": last or first}
        output.result(told, f"{subject}  {first}{f' to {last}' if last else ''}\nalert  {doc_id}")


def _saying(says: str, help_text: str) -> click.Command:
    def call(
        output: Output,
        alert: str,
        reason: str,
        files: tuple[str, ...],
        office: str | None,
        officer: str | None,
    ) -> None:
        from node.office.alert import say_of
        from node.office.officer import Officer
        from node.wiring import open_node

        evidence = [_digest(path) for path in files]
        with finishing():
            with open_node(output.home) as own:
                who = Officer(office, officer)
                doc_id = say_of(own, alert, says, who, reason=reason, evidence=evidence)
            told = {"doc_id": doc_id, "alert": alert, "says": says}
            output.result(told, f"{says}\ndocument  {doc_id}")

    call.__doc__ = help_text
    call.__name__ = says
    named = click.argument("alert")(_evidence_options(officer_options(call)))
    return command(name=_VERBS[says], context_settings={"ignore_unknown_options": True})(named)


_VERBS = {"withdrawn": "withdraw", "confirmed": "confirm", "denied": "deny", "sighted": "sighted"}
assert _VERBS.keys() == SAYINGS.keys()
_HELP = {
    "withdrawn": "Withdraw ALERT, which this authority has raised.",
    "confirmed": "Confirm ALERT on this participant's numbers: from then on it refuses.",
    "denied": "Deny ALERT on this participant's numbers: they are good, it ends.",
    "sighted": "Tell the others that a certificate meant by ALERT was seen here.",
}


@command(context_settings={"ignore_unknown_options": True})
@click.argument("alert")
@click.option("--reason", required=True, help="What the officer has found, in words.")
@officer_options
def release(
    output: Output, alert: str, reason: str, office: str | None, officer: str | None
) -> None:
    """Release all goods that are held here on account of ALERT.

    Nothing is released by itself, also not when an alert is withdrawn: an officer has to look.
    """
    from node.office.attend import release_all
    from node.office.officer import Officer
    from node.wiring import open_node

    with finishing():
        with open_node(output.home) as own:
            numbers = release_all(own, alert, Officer(office, officer), reason=reason)
        output.result({"released": numbers}, f"{len(numbers)} released\n" + "\n".join(numbers))


@command(name="list")
@click.option("--number", help="Only those that mean this number.")
@click.option("--all", "ended", is_flag=True, help="Also those that have ended.")
def list_(output: Output, number: str | None, ended: bool) -> None:
    """Search the register: alerts in force, oldest first."""
    from node.watch.correspondence import alerts
    from node.wiring import open_node

    with open_node(output.home, signing=False) as own:
        found = alerts(own, number, ended=ended)
    columns = {
        "raised_at": "RAISED", "by": "BY", "subject": "SUBJECT", "numbers": "NUMBERS",
        "standing": "STANDING", "effect": "EFFECT", "reason": "REASON", "doc_id": "ALERT",
    }  # fmt: skip
    empty = "No alert in force." if number is None else f"No alert means {number}."
    output.rows(found, found["items"], columns, empty)


@command(context_settings={"ignore_unknown_options": True})
@click.argument("alert")
def show(output: Output, alert: str) -> None:
    """Show ALERT by its doc id: what was said of it, and which certificates here it means."""
    from node.watch.correspondence import alert as read
    from node.wiring import open_node

    with open_node(output.home, signing=False) as own:
        output.result(read(own, alert))


def _digest(path: str) -> dict[str, str]:
    """Evidence by digest: the kind is what the name says it is."""
    import hashlib
    import mimetypes
    from pathlib import Path

    from node import base64url
    from node.cli.output import read_file
    from node.errors import refuse

    raw = read_file(path, MAX_EVIDENCE_BYTES)
    if len(raw) > MAX_EVIDENCE_BYTES:
        raise refuse("KP-J-003", f"{path}: expected at most {MAX_EVIDENCE_BYTES} bytes")
    kind = mimetypes.guess_type(path)[0] or "file"
    digest = base64url.encode(hashlib.sha256(raw).digest())
    return {"kind": kind, "sha256": digest, "reference": Path(path).name}


for sub in (raise_, *(_saying(says, text) for says, text in _HELP.items()), release, list_, show):
    alert.add_command(sub)
