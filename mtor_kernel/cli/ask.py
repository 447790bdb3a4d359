"""``mtor ask``: one question, its answer streamed, and what it cost."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mtor_kernel.client import RunningQuery

#: The exit status of who is interrupted, as a shell has it.
INTERRUPTED = 130


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("prompt", nargs="*", help="the question; without one it is read from stdin")
    parser.add_argument("-m", "--model", default="chat", help="model or alias (default: chat)")
    parser.add_argument("-t", "--temperature", type=float, help="0 to 2")
    parser.add_argument("--max-tokens", type=int, help="longest answer, in tokens")
    parser.add_argument("--seed", type=int, help="the same seed gives the same answer")
    parser.add_argument(
        "--image",
        action="append",
        default=[],
        metavar="FILE",
        help="a picture for a model that sees (default then: vision); may be repeated",
    )
    parser.add_argument("--system", default="", help="how the model should behave")


def run(given: argparse.Namespace) -> int:
    """Ask, and print the answer as it comes."""
    from mtor_kernel.client import connect
    from mtor_kernel.protocol.ngram import Chunk, Requeued
    from mtor_kernel.telling.markdown import readable
    from mtor_kernel.telling.story import cost_line

    _end_on_signals()
    prompt = " ".join(given.prompt) or sys.stdin.read()
    options = {
        name: value
        for name in ("temperature", "max_tokens", "seed")
        if (value := getattr(given, name)) is not None
    }
    model = "vision" if given.image and given.model == "chat" else given.model
    running: RunningQuery | None = None
    with connect() as realm:
        query = realm.prepare(
            prompt, model, attach=given.image, kind="image", system=given.system, **options
        )
        try:
            with realm.submit(query) as running:
                for event in running.events():
                    if isinstance(event, Chunk):
                        # A terminal obeys what it is shown, and a model repeats what it was fed.
                        print(readable(event.text), end="", flush=True)
                    elif isinstance(event, Requeued):
                        print(f"\n[{event.reason}: it starts afresh]", file=sys.stderr)
                reply = running.answer()
        except KeyboardInterrupt:
            # It may come while the query is on its way and nobody has it yet.
            print(f"\n{_end_of(running)}", file=sys.stderr)
            return INTERRUPTED
    print()
    print(cost_line(reply), file=sys.stderr)
    return 0


def _end_on_signals() -> None:
    """Have a signal end the command as an exception does: whatever was asked is cancelled then."""
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # and not: ignored, as by nohup
            signal.signal(number, lambda came, _: sys.exit(128 + came))


def _end_of(running: RunningQuery | None) -> str:
    """Return what became of a query that was interrupted, and cancelled by that."""
    from mtor_kernel.protocol.ngram import QueryEnd
    from mtor_kernel.telling.story import last_line

    if running is not None and running.ended:
        for event in running.events():
            if isinstance(event, QueryEnd):
                return last_line(event)
    return "cancelling · your history will tell what it cost"
