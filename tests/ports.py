"""Ports for servers that must be told theirs before they start."""

from __future__ import annotations

import contextlib
import random
import socket


def free_ports(number: int) -> list[int]:
    """Return ports in a row.

    They lie below those that outgoing connections are given: until a server has come up, one of
    these could take its port.
    """
    while True:
        first = random.randrange(10_000, 32_000)
        row = list(range(first, first + number))
        with contextlib.ExitStack() as taken, contextlib.suppress(OSError):
            for port in row:
                taken.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return row


def free_port() -> int:
    """Return one."""
    return free_ports(1)[0]
