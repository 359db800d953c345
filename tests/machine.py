"""What a few tests need of the machine: nginx, network namespaces, a disk of their own.

A plain clone on a laptop may lack them; see `tests.shared.lacking`.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.shared import lacking


def needs(program: str) -> str:
    """The path of a program."""
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin:/usr/bin:/bin")
    if found is None:
        lacking(f"this machine has no {program}; .ci/run installs it")
    return str(found)


def needs_root() -> None:
    """Only root may mount and make network namespaces."""
    if os.geteuid() != 0:
        lacking("only root may mount and make network namespaces")


def run(*command: str) -> None:
    """Run a program of the machine; it must succeed."""
    subprocess.run(command, check=True, capture_output=True, timeout=30)


class Disk:
    """A small file system that can be filled and made read-only."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self, leave_bytes: int = 0) -> None:
        """Leave no more than so many bytes free."""
        with self._filler.open("ab") as file:
            for piece in (64 * 1024, 4096):
                while shutil.disk_usage(self.folder).free >= leave_bytes + piece:
                    file.write(b"\0" * piece)
                    file.flush()

    def free(self) -> None:
        self._filler.unlink()

    def remount(self, option: str) -> None:
        run("mount", "-o", f"remount,{option}", str(self.folder))


@contextmanager
def small_disk(folder: Path, size: str = "8m") -> Iterator[Disk]:
    """A file system of its own, in memory; its errors are the kernel's."""
    needs_root()
    folder.mkdir(parents=True)
    run(needs("mount"), "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
    try:
        yield Disk(folder)
    finally:
        run("umount", str(folder))
