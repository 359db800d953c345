"""The `kpnode` program."""

import os
import sys

from node.cli.app import main


def run() -> None:
    """Run the command line; nothing leaves it as a traceback."""
    try:
        main.main(prog_name="kpnode")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if os.environ.get("KPNODE_DEBUG"):
            raise
        text = f"error: internal: {type(error).__name__}: {error}; KPNODE_DEBUG=1 shows where"
        print(text, file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    run()
