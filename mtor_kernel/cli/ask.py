"""``mtor ask``: one question, its answer streamed, and what it cost."""

from __future__ import annotations

import argparse
import sys

from mtor_kernel.protocol.account import show_credits


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

    prompt = " ".join(given.prompt) or sys.stdin.read()
    options = {
        name: value
        for name in ("temperature", "max_tokens", "seed")
        if (value := getattr(given, name)) is not None
    }
    model = "vision" if given.image and given.model == "chat" else given.model
    with connect() as realm:
        query = realm.prepare(
            prompt, model, attach=given.image, kind="image", system=given.system, **options
        )
        with realm.submit(query) as running:
            for event in running.events():
                if isinstance(event, Chunk):
                    # A terminal obeys what it is shown, and a model repeats what it was fed.
                    print(readable(event.text), end="", flush=True)
                elif isinstance(event, Requeued):
                    print(f"\n[{event.reason}: it starts afresh]", file=sys.stderr)
            reply = running.answer()
    charge = reply.charge
    tokens = charge.usage.input_tokens + charge.usage.output_tokens
    print()
    print(
        f"{reply.model} · {tokens} tokens · {reply.seconds:.1f} s · "
        f"{show_credits(charge.amount_micro)} credits",
        file=sys.stderr,
    )
    return 0
