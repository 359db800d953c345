"""Telling systemd that the node is ready, still works, or ends (sd_notify(3)); nothing without it."""

import os
import socket


def listens() -> bool:
    """Whether there is one."""
    return _address().startswith(("/", "@"))


def tell(state: str) -> None:
    """Send a state, e.g. ``READY=1``; of no consequence where nobody listens."""
    if not listens():
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.connect(_address().replace("@", "\0", 1))
            channel.send(state.encode())
    except OSError:
        pass


def _address() -> str:
    return os.environ.get("NOTIFY_SOCKET", "")
