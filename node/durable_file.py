"""Files that are on the disk when the call returns, and, but for what is added, whole or not there."""

import errno
import os
from pathlib import Path


def write(path: Path, raw: bytes, *, mode: int = 0o600) -> None:
    """Write a file under another name, make it durable, and give it its name.

    Args:
        path: The file; one that is there is replaced. What is no file (a device, a pipe) is
            written to as it is.
        raw: Its bytes.
        mode: Who may read it.

    Raises:
        OSError: It cannot be written; what was there stays.
    """
    if path.exists() and not path.is_file():
        path.write_bytes(raw)
        return
    fresh = path.with_name(path.name + ".new")
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
    sync(path.parent)


def append(path: Path, raw: bytes) -> None:
    """Add bytes to a file that is there.

    Raises:
        OSError: They may be there in part, or not on the disk.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        if os.write(descriptor, raw) < len(raw):
            raise OSError(errno.ENOSPC, "written in part")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync(path: Path) -> None:
    """Make durable what stands in a file, or which names in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
