"""The ``mtor`` command: one file a subcommand.

What a subcommand needs is imported when it runs, so that ``mtor --help`` answers at once.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from mtor_kernel._version import __version__
from mtor_kernel.protocol.errors import RealmError

__all__ = ["main"]

#: Each subcommand and what it is for; its module has ``add_arguments`` and ``run``.
COMMANDS = {
    "ask": "ask a model and print its answer as it comes",
    "certs": "make the certificates of a cluster of several machines",
    "demo": "run the first notebook here, without a browser",
    "doctor": "what can this machine serve, and is it set up safely",
    "hub": "run the realm of a JupyterHub",
    "mcp": "serve the realm to an agent as tools (MCP)",
    "models": "list the models that answer, and those that could",
    "pull": "fetch the weights of a model",
    "realm": "run, find or stop a realm",
    "scheduler": "run a Dask scheduler for workers on several machines",
    "store": "move what the realm remembers into another database",
    "sysop": "run the place: people, quotas, credits, workers, audit",
    "worker": "serve an operator's Dask scheduler",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser("mtor", description="MTOR: an AI realm inside Jupyter.")
    parser.add_argument("--version", action="version", version=f"mtor {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    words = sys.argv[1:] if arguments is None else list(arguments)
    for name, purpose in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=purpose, description=purpose)
        if name in words[:1]:
            import_module(f"mtor_kernel.cli.{name}").add_arguments(subparser)
    given = parser.parse_args(words)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # What a terminal cannot show is no reason to break off an answer.
            stream.reconfigure(errors="replace")
    try:
        status: int = import_module(f"mtor_kernel.cli.{given.command}").run(given)
        if sys.stdout is not None:  # it may have been closed
            sys.stdout.flush()
    except RealmError as error:
        from mtor_kernel.telling.markdown import readable

        print(f"mtor: {readable(error.message)}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Whoever read has read enough. Python would complain once more as it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        print(f"mtor: {told_of(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return status


def told_of(error: OSError) -> str:
    """Return what the system refuses, as a sentence."""
    if error.strerror is None:
        return str(error)
    what = f"{error.filename}: " if error.filename is not None else ""
    return f"{what}{error.strerror}."
