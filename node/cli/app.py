"""`kpnode`: the group of commands, loaded only when used."""

import importlib
import os
import sys
from typing import Any

import click

from node import __version__
from node.cli.output import Output, fail
from node.errors import NodeError

COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("init", "Make a home: keys, database, peers.toml."),
    "peer": ("peer", "Add, show, probe, pause and renew the authorities to exchange with."),
    "keys": ("keys", "List, renew and revoke this authority's own keys."),
    "serve": ("serve", "Run the node: both listeners and the delivery workers."),
    "issue": ("issue", "Issue certificates for the shipments of a JSON file."),
    "draft": ("draft", "Exporter: reserve numbers, inspect, then issue or withdraw."),
    "seal": ("exporting", "Exporter: goods and certificate were sealed."),
    "consent": ("exporting", "Exporter: consent to the values found."),
    "refuse": ("exporting", "Exporter: refuse the values found."),
    "take-in": ("exporting", "Exporter: returned goods are back; the certificate lapses."),
    "revoke": ("exporting", "Exporter: void, replaced, lost, stolen or cancelled."),
    "present": ("importing", "Importer: goods and paper are here."),
    "inspect": ("importing", "Importer: what the inspection found."),
    "confirm": ("confirm", "Importer: confirm that goods have arrived."),
    "dispute": ("importing", "Importer: goods and certificate differ."),
    "amend": ("importing", "Importer: the values agreed, after consent."),
    "order-return": ("importing", "Importer: goods go back, with a technical certificate."),
    "send-to-laboratory": ("importing", "Importer: goods go to a laboratory."),
    "take-back": ("importing", "Importer: goods are back from the laboratory."),
    "hold": ("importing", "Importer: hold goods until a decision."),
    "release": ("importing", "Importer: release goods that were held."),
    "seize": ("importing", "Importer: seize goods that were held."),
    "transit": ("importing", "Goods pass through, unopened."),
    "work": ("work", "Show what waits for an officer, list by list."),
    "overdue": ("work", "Exporter: what is not confirmed in time; remind the importers."),
    "inquiry": ("inquiry", "Ask whether a certificate is genuine; answer who asks."),
    "alert": ("alert", "Warn of forged, stolen or missing certificates; search the register."),
    "profile": ("profile", "Announce what our certificates look like; see others'."),
    "source": ("source", "Re-exports: what came in, and how much may go out again."),
    "participant": ("participant", "Participants of the scheme by date."),
    "certificate": ("certificate", "List, show, import and export certificates, both sides."),
    "dossier": ("table", "Write a month of certificates as a file that others can check."),
    "document": ("document", "Print a document's exact bytes."),
    "verify": ("verify", "Verify a document, bundle or receipt, also offline."),
    "sync": ("sync", "Exchange with peers once, now."),
    "bundle": ("bundle", "Exchange by files: export and import."),
    "status": ("status", "Show whether peers are in sync, both directions."),
    "ledger": ("ledger", "List, checkpoint, verify, rebuild and resume the log."),
    "token": ("token", "Access tokens for the authority's own systems (HTTP API)."),
    "webhook": ("webhook", "Post events to the authority's own systems."),
    "backup": ("backup", "Write ledger, settings and public keys to one file."),
    "restore": ("backup", "Put the ledger of a backup into the home."),
    "doctor": ("doctor", "Check clock, SQLite, keys, disk and peers."),
    "demo": ("demo", "Show three authorities exchanging, on this machine."),
}
"""By name: the module of `node.cli` that has the command, and its line in the overview."""


class Commands(click.Group):
    """Imports a command's module when it is called, and maps errors to exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order people meet them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, from the module that the table names."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"node.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """From the table above, without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

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
