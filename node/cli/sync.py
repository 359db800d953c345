"""`kpnode sync`: one exchange round now."""

import click

from node.cli.output import UNREACHABLE, Output, command


@command()
@click.option("--peer", help="Only with this authority.")
def sync(output: Output, peer: str | None) -> None:
    """Exchange with each peer that is called once, now, whether or not the node runs.

    Peers in carry mode get files: kpnode bundle export and import.
    """
    import sys
    from functools import partial

    import structlog

    from node.errors import ConfigError
    from node.exchange import rounds
    from node.office.attend import attend
    from node.watch.peers import status
    from node.wiring import open_node

    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())  # errors are in the result
    with open_node(output.home) as own:
        try:
            rounds.check_called(own, peer)
        except ConfigError as error:
            raise click.UsageError(str(error)) from None
        paused = {
            row["authority"]: row["paused"]["because"]
            for row in status(own)["peers"]
            if row["paused"]
        }
        done = rounds.sync(own, peer, partial(attend, own))
    columns = {
        "authority": "PEER", "delivered": "DELIVERED", "fetched": "FETCHED", "error": "ERROR",
    }  # fmt: skip
    output.rows(done, done["items"], columns, "No peers that are called.")
    for item in done["items"]:
        if item["authority"] in paused:
            output.note(f"{item['authority']}: paused: {paused[item['authority']]}")
        if item["busy"]:
            output.note(f"{item['authority']}: the running node is delivering to it")
    if any(item["error"] for item in done["items"]):
        sys.exit(UNREACHABLE)
