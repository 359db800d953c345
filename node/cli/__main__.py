"""The `kpnode` program."""

import gc
import sys

from node.cli.app import main
from node.cli.output import nobody_reads

GC_OBJECTS = 100_000
"""Made before the collector looks; modules and documents have next to no cycles."""


def run() -> None:
    """Run the command line, whatever the terminal can show and however early its reader leaves."""
    gc.set_threshold(GC_OBJECTS, 20, 50)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        main.main(prog_name="kpnode")
    except BrokenPipeError:
        nobody_reads()
        sys.exit(1)


if __name__ == "__main__":
    run()
