"""`kpnode sync`: one exchange round now."""

import click

from node.cli.output import UNREACHABLE, Output, command


@command()
@click.option("--peer", help="Only with this authority.")
def sync(output: Output, peer: str | None) -> None:
    """Exchange with each peer that is called once, now, whether or not the node runs.

    Peers in carry mode get files: kpnode bundle export and import.
    """
    import asyncio
    import sys

    import structlog

    from node.errors import NotFoundError
    from node.ids import Authority
    from node.office.attend import attend
    from node.watch.peers import status
    from node.wiring import open_node

    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())  # errors are in the result
    with open_node(output.home) as own:
        if peer is not None and peer not in own.book.settings:
            raise NotFoundError(f"{peer} is no peer of this node; see kpnode peer list")
        if peer is not None and not own.book.settings[Authority(peer)].called:
            raise click.UsageError(
                f"{peer} is not called: it has no url, or mode carry; see kpnode bundle export"
            )
        stopped = {name: why for name, why in own.book.stopped.items() if peer in (None, name)}
        paused = {
            row["authority"]: row["paused"]["because"]
            for row in status(own)["peers"]
            if row["paused"]
        }
        rounds = asyncio.run(_rounds(own, peer))
        if attend(own):  # what came in is answered at once
            asyncio.run(_rounds(own, peer))
    items = [
        {
            "authority": name,
            "delivered": done.delivered,
            "fetched": done.fetched,
            "error": done.error,
        }
        for name, done in rounds.items()
    ] + [
        {"authority": name, "delivered": 0, "fetched": 0, "error": why}
        for name, why in stopped.items()
    ]
    columns = {
        "authority": "PEER", "delivered": "DELIVERED", "fetched": "FETCHED", "error": "ERROR",
    }  # fmt: skip
    output.rows({"items": items, "next": None}, items, columns, "No peers that are called.")
    for name, done in rounds.items():
        if name in paused:
            output.note(f"{name}: paused: {paused[name]}")
        if done.busy:
            output.note(f"{name}: the running node is delivering to it")
    if any(item["error"] for item in items):
        sys.exit(UNREACHABLE)


async def _rounds(own, peer: str | None):  # type: ignore[no-untyped-def]
    import asyncio

    from node.exchange.client import new_session
    from node.exchange.dispatch import Dispatch

    async with new_session() as session:
        dispatch = Dispatch(own, session, "sync")
        names = [name for name in dispatch.called() if peer in (None, name)]
        done = await asyncio.gather(
            *(dispatch.courier(name).round(heartbeat=True) for name in names)
        )
    return dict(zip(names, done, strict=True))
