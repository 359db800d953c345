"""A node that ends itself as by a power cut before an effect; the shipped command has no such switch.

python -m tests.faulty_node HOME EFFECT OCCURRENCE [serve | issue FILE | confirm NUMBER]
"""

import os
import signal
import sys
from pathlib import Path

from node.cli.output import Output
from node.cli.serve import run
from node.office.confirm import confirm
from node.office.issue import issue, read_shipments
from node.office.officer import Officer
from node.wiring import open_node


class KillBefore:
    """The fault switch that wiring is handed: SIGKILL before the n-th time of an effect."""

    def __init__(self, effect: str, occurrence: int) -> None:
        self._effect = effect
        self._left = occurrence

    def __call__(self, effect: str) -> None:
        if effect == self._effect:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def main(home: str, effect: str, occurrence: str, verb: str, *arguments: str) -> None:
    with open_node(Path(home), fault=KillBefore(effect, int(occurrence))) as own:
        if verb == "issue":
            issue(own, read_shipments(Path(arguments[0]).read_bytes()), Officer())
        elif verb == "confirm":
            confirm(own, arguments, Officer())
        else:
            run(own, Output(home, as_json=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
