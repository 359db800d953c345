"""`kpnode serve`: the running node."""

from node.cli.output import Output, command


@command()
def serve(output: Output) -> None:
    """Run the node until Ctrl-C or SIGTERM.

    Both listeners come up, a delivery worker starts for each peer, and what other commands write
    is noticed within two seconds. Logs go to stderr, as JSON lines where it is no terminal.
    """
    from node.wiring import open_node

    with open_node(output.home) as own:
        run(own, output)


def run(own, output: Output) -> None:  # type: ignore[no-untyped-def]
    """Serve a node that wiring has built, with signals and logs of a service."""
    import asyncio
    import signal

    from node.web.serving import serve as serving
    from node.wiring import reread

    _logs()
    node = own.config.node

    def ready() -> None:
        addresses = {
            "authority": node.authority,
            "sandbox": node.sandbox,
            "peers": f"http://{node.listen.host}:{node.listen.port}",
            "console": f"http://{node.console.host}:{node.console.port}",
        }
        world = "SANDBOX " if node.sandbox else ""
        text = f"{world}{node.authority} serves peers on {addresses['peers']}, console on {addresses['console']}"
        output.result(addresses, text)

    async def until_signal() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        for name in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(name, stop.set)
        await serving(own, reread, stop, ready)

    asyncio.run(until_signal())
    output.note(f"{node.authority} stopped")


def _logs() -> None:
    import logging
    import os
    import sys

    import structlog

    # What anybody may cause by sending what is no HTTP is answered, and no line in our log.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    terminal = sys.stderr.isatty()
    colours = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    renderer = (
        structlog.dev.ConsoleRenderer(colors=colours)
        if terminal
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
