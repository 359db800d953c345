"""`kpnode`: the group of commands, loaded only when used."""

import importlib
import os
import sys
from typing import Any

import click

from node import __version__
from node.cli.output import Output, fail
from node.errors import NodeError

COMMANDS = {
    "init": "Make a home: keys, database, peers.toml.",
    "peer": "Add, list and show the authorities to exchange with.",
    "serve": "Run the node: both listeners and the delivery workers.",
    "issue": "Issue certificates for the shipments of a JSON file.",
    "confirm": "Confirm to the exporter that goods have arrived.",
    "certificate": "List and show certificates, both sides.",
    "document": "Print a document's exact bytes.",
    "verify": "Verify a document, bundle or receipt, also offline.",
    "sync": "Exchange with peers once, now.",
    "status": "Show whether peers are in sync, both directions.",
    "ledger": "List, checkpoint and verify the log.",
    "doctor": "Check clock, SQLite, keys, disk and peers.",
    "demo": "Show three authorities exchanging, on this machine.",
}


class Commands(click.Group):
    """Imports a command's module when it is called, and maps errors to exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order people meet them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of `node.cli.<name>`."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"node.cli.{cmd_name}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """From the table above, without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Run, and end with the exit code of the architecture page; nothing leaves as a traceback."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as error:
            if os.environ.get("KPNODE_DEBUG"):
                raise
            sys.exit(fail(ctx.find_object(Output) or Output(), _as_node_error(error)))


def _as_node_error(error: Exception) -> NodeError:
    if isinstance(error, NodeError):
        return error
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return NodeError(f"{where}{error.strerror or error}", code="unusable-file")
    text = f"{type(error).__name__}: {error}; KPNODE_DEBUG=1 shows where"
    return NodeError(text, code="internal")


@click.group(
    cls=Commands,
    # No short options anywhere: a doc id may start with a dash and is still an argument.
    context_settings={"max_content_width": 100},
    epilog="Exit codes: 0 ok, 1 failure, 2 usage, 3 not found, 4 verification failed or refused, "
    "5 state conflict, 7 peer unreachable. Start with: kpnode demo",
)
@click.version_option(__version__, prog_name="kpnode")
@click.option(
    "--home", type=click.Path(file_okay=False), help="The node's home [KPNODE_HOME, or .]"
)
@click.option("--json", "as_json", is_flag=True, help="Results as JSON on stdout.")
@click.pass_context
def main(ctx: click.Context, home: str | None, as_json: bool) -> None:
    """Exchange Kimberley Process certificates with other authorities.

    A node signs certificates, delivers them to the authority of destination, verifies what it
    receives, and keeps every step in a tamper-evident log.
    """
    ctx.obj = Output(home or os.environ.get("KPNODE_HOME") or ".", as_json)
