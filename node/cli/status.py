"""`kpnode status`: are peers in sync?"""

from node.cli.output import Output, command


@command()
def status(output: Output) -> None:
    """Show every peer's state, both directions, worst first."""
    from node.exchange.status import status as read
    from node.wiring import open_node

    with open_node(output.home, signing=False) as own:
        result = read(own)
        world = "SANDBOX " if own.sandbox else ""
        output.note(f"{world}{own.name}, {own.config.node.name}")
    rows = [
        {
            **row,
            "sent": f"{row['out']['acknowledged']} of {row['out']['position']}",
            "received": f"{row['in']['have']} of {row['in']['known']}",
            "trouble": ", ".join(i["code"] for i in row["incidents"]) or row["last_error"],
        }
        for row in result["peers"]
    ]
    columns = {
        "authority": "PEER", "state": "STATE", "sent": "SENT", "received": "RECEIVED",
        "last_contact": "LAST CONTACT", "next_try": "NEXT TRY", "trouble": "TROUBLE",
    }  # fmt: skip
    empty = "No peers yet. Add one: kpnode peer add AUTHORITY --url URL --jwks FILE"
    output.rows(result, rows, columns, empty)
    if result["stopped"]:
        output.note(f"STOPPED: {result['stopped']}")
