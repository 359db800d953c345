"""The `kpnode` program."""

import os
import sys

from node.cli.app import main


def run() -> None:
    """Run the command line, whatever the terminal can show and however early its reader leaves."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        main.main(prog_name="kpnode")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


if __name__ == "__main__":
    run()
