"""Telling systemd that the node is ready, still works, or ends (sd_notify(3)); nothing without it."""

import os
import socket


def tell(state: str) -> None:
    """Send a state, e.g. ``READY=1``; of no consequence where nobody listens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.connect(address.replace("@", "\0", 1))
            channel.send(state.encode())
    except OSError:
        pass
