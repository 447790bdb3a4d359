"""Backends that go wrong as libraries do, each in a process of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import ClassVar

from mtor_kernel.protocol.account import Usage
from mtor_kernel.protocol.backend import Context, Delta, Done, ModelSpec, Step
from mtor_kernel.protocol.query import Modality, Query

Said = Iterator[Delta | Step | Done]


class Stray:
    """Does what the query says, and tells the process that it has begun."""

    modalities: ClassVar[frozenset[Modality]] = frozenset({Modality.CHAT})

    def __init__(self, spec: ModelSpec) -> None:
        self._spec = spec

    def missing(self) -> str:
        return ""

    def load(self) -> None:
        """It is there."""

    def unload(self) -> None:
        """It stays there."""

    def stream(self, query: Query, context: Context) -> Said:
        act = getattr(self, query.messages[-1].text.replace(" ", "_"))
        yield Delta(str(act() or ""))
        if query.messages[-1].text.endswith("and hang"):
            time.sleep(600)
        yield Done(Usage())

    def say_hello(self) -> str:
        return "hello"

    def fork_and_die(self) -> None:
        """Leave somebody behind who has the child's socket open."""
        if os.fork() == 0:
            time.sleep(600)
            os._exit(0)
        os.kill(os.getpid(), signal.SIGKILL)

    def start_a_program_and_hang(self) -> str:
        """Start a program that would run on for long, and say its number."""
        return str(subprocess.Popen(["sleep", "600"], close_fds=False).pid)

    def print_a_lot(self) -> str:
        """Say much where it does not belong, past Python as well."""
        for _ in range(200):
            print("not an answer " * 100)
            os.write(1, b"\x00\x01\x02garbage" * 100)
        return "said"

    def talk_nonsense(self) -> str:
        """Write onto the child's own socket."""
        os.write(int(sys.argv[1]), b"\x00\x00\x00\x04\x00\x00\x00\x00spam")
        time.sleep(600)
        return ""

    def promise_too_much(self) -> str:
        """Announce a frame of four gigabytes."""
        os.write(int(sys.argv[1]), b"\xff" * 8)
        time.sleep(600)
        return ""

    def close_the_socket(self) -> str:
        """End what it talks by, and stay: to close it would not wake whoever reads."""
        socket.socket(fileno=os.dup(int(sys.argv[1]))).shutdown(socket.SHUT_RDWR)
        time.sleep(600)
        return ""

    def take_all_memory(self) -> str:
        """Ask for more than it may have."""
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
        return str(len(bytearray(8 << 30)))
