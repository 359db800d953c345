"""`kpnode webhook`: tell the authority's own systems of events."""

import sys
from typing import Any

import click

from node.cli.output import UNREACHABLE, Output, command


@click.group()
def webhook() -> None:
    """Post events to addresses that peers.toml allows, signed, in order, for ever."""


@command()
@click.argument("url")
@click.option("--from-start", is_flag=True, help="Begin with the first event there ever was.")
def add(output: Output, url: str, from_start: bool) -> None:
    """Post events to URL from now on, and show the secret that signs them: once.

    peers.toml must allow the host: [webhooks] allow = ["https://erp.example.org"]. What is not
    taken is posted again, from a second to a quarter of an hour later, for ever and in order.
    """
    from node.office.webhooks import add as act
    from node.wiring import open_node

    with open_node(output.home) as own:
        subscriber_id, secret = act(own, url, from_start=from_start)
    output.result({"id": subscriber_id, "url": url, "secret": secret}, secret)
    output.note(f"webhook {subscriber_id}: keep the secret now; it is not shown again.")


@command(name="list")
def list_(output: Output) -> None:
    """List webhooks, and how far each has been told."""
    from node.ledger import subscribers
    from node.wiring import open_node

    with open_node(output.home, signing=False) as own:
        items = [subscribers.as_json(one) for one in own.ledger.read(subscribers.listed)]
    columns = {
        "id": "ID", "url": "URL", "state": "STATE", "cursor": "TOLD UP TO",
        "attempts": "FAILED", "last_error": "LAST ERROR",
    }  # fmt: skip
    empty = "No webhooks. Add one: kpnode webhook add URL"
    output.rows({"items": items, "next": None}, items, columns, empty)


@command()
@click.argument("webhook_id", metavar="ID")
def remove(output: Output, webhook_id: str) -> None:
    """Tell webhook ID no longer."""
    from node.ledger.subscribers import as_json
    from node.office.webhooks import remove as act
    from node.wiring import open_node

    with open_node(output.home) as own:
        found = act(own, webhook_id)
    output.result(as_json(found), f"{found.id}  removed")


@command()
@click.argument("webhook_id", metavar="ID")
@click.option("--after", type=click.IntRange(-1), required=True, help="The last event it has.")
def replay(output: Output, webhook_id: str, after: int) -> None:
    """Tell webhook ID again what came after an event; also starts one that was stopped."""
    from node.ledger.subscribers import as_json
    from node.office.webhooks import replay as act
    from node.wiring import open_node

    with open_node(output.home) as own:
        found = act(own, webhook_id, after)
    output.result(as_json(found), f"{found.id}  told again after {found.cursor}")


@command()
@click.argument("webhook_id", metavar="ID")
def ping(output: Output, webhook_id: str) -> None:
    """Post a test event to webhook ID now, outside of the order."""
    import asyncio

    from node.errors import NotFoundError
    from node.ledger import subscribers
    from node.web.hooks import ping as act
    from node.wiring import open_node

    with open_node(output.home, signing=False) as own:
        found: Any = own.ledger.read(lambda tx: subscribers.by_id(tx, webhook_id))
        if found is None:
            raise NotFoundError(f"no webhook {webhook_id}; see kpnode webhook list")
        error = asyncio.run(act(own, found))
    told = {"id": found.id, "url": found.url, "taken": error is None, "error": error}
    output.result(told, "taken" if error is None else f"not taken: {error}")
    if error is not None:
        sys.exit(UNREACHABLE)


for sub in (add, list_, remove, replay, ping):
    webhook.add_command(sub)
