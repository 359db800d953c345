"""Who uses a home: commands and the node together, or one command that replaces its ledger alone."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from node.errors import ConfigError

LOCK_FILE = "in-use.lock"


@contextmanager
def in_use(folder: Path, *, alone: bool = False) -> Iterator[None]:
    """Hold a home's data folder for as long as its ledger is open.

    Args:
        folder: Where the ledger is; nothing is held where there is no such folder.
        alone: Whether nobody else may have it meanwhile.

    Raises:
        ConfigError: ``home-in-use``.
    """
    try:
        descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:
        yield  # no such folder, or one that cannot be written: opening the ledger says which
        return
    try:
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            who = "the node, or another command, is using" if alone else "a command is replacing"
            raise ConfigError(
                f"{who} the ledger in {folder}; stop it or wait, then try again", code="home-in-use"
            ) from None
        yield
    finally:
        os.close(descriptor)
