"""`kpnode status`: are peers in sync?"""

from contextlib import suppress
from typing import Any

import click

from node.cli.output import Output, command, table

WATCH_S = 2.0

COLUMNS = {
    "authority": "PEER", "state": "STATE", "sent": "SENT", "received": "RECEIVED",
    "oldest": "OLDEST", "last_contact": "LAST CONTACT", "next_try": "NEXT TRY",
    "trouble": "TROUBLE",
}  # fmt: skip
EMPTY = "No peers yet. Add one: kpnode peer add AUTHORITY --url URL --jwks FILE"


@command()
@click.option("--watch", is_flag=True, help="Stay, and show it anew every two seconds.")
def status(output: Output, watch: bool) -> None:
    """Show every peer's state, both directions, worst first, and what needs attention."""
    from node.watch.peers import status as read
    from node.wiring import open_node

    with open_node(output.home, signing=False) as own:
        world = "SANDBOX " if own.sandbox else ""
        title = f"{world}{own.name}, {own.config.node.name}"
        if watch:
            with suppress(KeyboardInterrupt):  # the way it is meant to end
                _stay(output, title, lambda: read(own))
            return
        result = read(own)
    output.note(title)
    output.rows(result, _rows(result), COLUMNS, EMPTY)
    for line in _attention(result):
        output.note(line)


def _rows(result: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            **row,
            "sent": f"{row['out']['acknowledged']} of {row['out']['position']}",
            "received": f"{row['in']['have']} of {row['in']['known']}",
            "oldest": f"{row['out']['oldest_s']} s" if row["out"]["lag"] else None,
            "trouble": ", ".join(i["code"] for i in row["incidents"])
            or (row["paused"] or {}).get("because")
            or row["last_error"],
        }
        for row in result["peers"]
    ]


def _attention(result: dict[str, Any]) -> list[str]:
    lines = [f"STOPPED: {result['stopped']}"] if result["stopped"] else []
    for alert in result["alerts"]:
        subject = f" {alert['subject']}" if alert["subject"] else ""
        lines.append(f"ALERT: {alert['code']}{subject} since {alert['since']}: {alert['detail']}")
    return lines


def _stay(output: Output, title: str, read: Any) -> None:
    """Show it anew until Ctrl-C; one JSON object a line where that is wanted."""
    import time

    from node.clock import SystemClock, iso, seconds

    while True:
        result = read()
        if output.as_json:
            output.result(result)
        else:
            now = iso(seconds(SystemClock().now()))
            told = table(_rows(result), COLUMNS) if result["peers"] else EMPTY
            click.clear()
            click.echo("\n".join([f"{title}   {now}   Ctrl-C ends", "", told, *_attention(result)]))
        time.sleep(WATCH_S)
