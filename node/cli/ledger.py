"""`kpnode ledger`: the log."""

import sys

import click

from node.cli.output import REFUSED, Output, command, progress


@click.group()
def ledger() -> None:
    """List, checkpoint, verify, rebuild and resume the log."""


@command(name="list")
@click.option(
    "--after", type=click.IntRange(-1, 2**53), default=-1, help="Continue after this index."
)
@click.option("--limit", type=click.IntRange(1, 10000), default=1000, show_default=True)
def list_(output: Output, after: int, limit: int) -> None:
    """List entries, oldest first."""
    from node.watch.log import listed
    from node.wiring import open_node

    with open_node(output.home, signing=False) as own:
        found = listed(own, after, limit)
    columns = {
        "index": "INDEX", "kind": "KIND", "iss": "SIGNED BY", "doc_id": "DOCUMENT",
        "recorded_at": "RECORDED",
    }  # fmt: skip
    output.rows(found, found["items"], columns, "The log is empty.")


@command()
def checkpoint(output: Output) -> None:
    """Sign and print the log's checkpoint as it stands."""
    from node.exchange import answers
    from node.wiring import open_node

    with open_node(output.home) as own:
        note = answers.checkpoint(own)
        point = own.checkpoints.read(note)
    result = {"origin": point.origin, "size": point.size, "root": _b64(point.root), "note": note}
    output.result(result, note.rstrip("\n"))


@command()
def verify(output: Output) -> None:
    """Verify every document, signature, tree node, checkpoint and stream of the ledger."""
    from node.watch.log import verified
    from node.wiring import open_node

    with open_node(output.home, signing=False) as own:
        found = verified(own, progress)
    summary = f"{found['size']} entries, {found['signatures']} signatures, root {found['root']}"
    text = f"good: {summary}"
    if not found["ok"]:
        text = "\n".join([*found["problems"], f"NOT GOOD: {summary}"])
    if found["without_key"]:
        text += f"\n{found['without_key']} documents of authorities without a pinned key not judged"
    output.result(found, text)
    if not found["ok"]:
        sys.exit(REFUSED)


@command()
def rebuild(output: Output) -> None:
    """Make all read models again, from the log and the receipts that are held."""
    from node.ledger.rebuild import rebuild as again
    from node.wiring import open_node

    with open_node(output.home, signing=False) as own:
        count = own.ledger.write(lambda tx: again(tx, own.name))
    output.result({"documents": count}, f"rebuilt from {count} documents")


@command()
@click.option("--because", required=True, metavar="TEXT", help="Why; peers read it.")
@click.option("--new-log", is_flag=True, help="Begin a successor log though nothing shows a loss.")
@click.option("--officer", help="The officer who says so.")
@click.option("--office", help="The office that says so.")
def resume(
    output: Output, because: str, new_log: bool, office: str | None, officer: str | None
) -> None:
    """Let a node go on that lost entries, or was restored and waits for its peers.

    Bring back the newest database first if there is one: that loses nothing and needs no resume.
    Where entries are lost for good, a successor log begins. It is announced to every peer with the
    last known checkpoint of the one before, and each stream goes on where its peer is. The node
    must be stopped meanwhile.
    """
    from node.office.officer import Officer
    from node.office.resume_log import resume_log
    from node.wiring import open_node

    with open_node(output.home, alone=True) as own:
        done = resume_log(own, because, Officer(office, officer), new_log=new_log)
    result = {"origin": done.origin, "successor": done.successor, "predecessor": done.predecessor}
    text = (
        f"{done.origin} begins; it is announced to every peer at the next contact"
        if done.successor
        else f"{done.origin} goes on"
    )
    output.result(result, text)


def _b64(raw: bytes) -> str:
    from node import base64url

    return base64url.encode(raw)


for sub in (list_, checkpoint, verify, rebuild, resume):
    ledger.add_command(sub)
