"""systemd's notification protocol: one datagram to the socket that $NOTIFY_SOCKET names. Nothing without it."""

from __future__ import annotations

import os
import socket


def notify(*lines: str) -> bool:
    """Send assignments such as `READY=1`, `WATCHDOG=1`, `STOPPING=1`, `RELOADING=1`; says whether there was a socket."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    target = "\0" + address[1:] if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
        out.sendto("\n".join(lines).encode(), target)
    return True


def watchdog_seconds() -> float | None:
    """Half of the interval in which systemd wants to hear of us; None where it does not."""
    wanted = os.environ.get("WATCHDOG_USEC", "")
    return int(wanted) / 2_000_000 if wanted.isascii() and wanted.isdigit() else None
