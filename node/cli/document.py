"""`kpnode document`: the exact bytes."""

import sys

import click

from node.cli.output import Output, command


@command(context_settings={"ignore_unknown_options": True})
@click.argument("doc_id")
@click.option("--content", is_flag=True, help="What it says, as JSON, in place of its bytes.")
def document(output: Output, doc_id: str, content: bool) -> None:
    """Print the document DOC_ID as it was signed: one compact JWS, nothing else."""
    from node.errors import NotFoundError
    from node.ledger import entries
    from node.wiring import open_node

    with open_node(output.home, signing=False) as own:
        raw = own.ledger.read(lambda tx: entries.document(tx, doc_id))
    if raw is None:
        raise NotFoundError(f"no document {doc_id} in this log")
    if content:
        output.result(entries.claims(raw))
    elif output.as_json:
        output.result({"doc_id": doc_id, "jws": raw.decode()})
    else:
        click.echo(raw.decode(), nl=sys.stdout.isatty())
