"""Ask a question and show its answer as it comes; an interrupt takes it back.

What is shown is shown from the cell's own thread: from another it would belong to whatever cell
runs by then.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from mtor_kernel.client import Realm, Reply, as_media
from mtor_kernel.client.media import Kind
from mtor_kernel.magics.bundle import bundle, reply_bundle
from mtor_kernel.magics.display import Display
from mtor_kernel.magics.failure import explained
from mtor_kernel.protocol.errors import RealmError
from mtor_kernel.protocol.query import Query
from mtor_kernel.telling.asked import Asked
from mtor_kernel.telling.story import Story

#: How long an interrupted question waits to hear what it cost, in seconds.
CONFIRM_SECONDS = 0.8

NOT_ASKED = "not asked · nothing charged"
_CANCELLING = "cancelling · %mtor history will tell what it cost"
_LOST = "broken off · %mtor history will tell what came of it"


def ask(
    realm: Realm,
    query: Query,
    display: Display,
    show: Callable[[Reply], dict[str, Any]] = reply_bundle,
) -> Reply:
    """Have `query` answered on `display` and return the answer; `show` makes the last word of it.

    A recorded answer is shown once, whole: so it is alike for tools that know no updates.

    Raises
    ------
    RealmError
        There is none; says why and what to do. What had come stays on the display.
    KeyboardInterrupt
        The cell was interrupted, and the query cancelled.
    """
    story, asked = Story(), Asked(realm, query)
    try:
        with interruptible():
            reply = _follow(asked, story, display)
            last = show(reply)
    except (RealmError, KeyboardInterrupt) as error:
        display.finish(bundle(story.text, story.note))
        raise explained(error, story.note) from None
    display.finish(last)
    return reply


def _follow(asked: Asked, story: Story, display: Display) -> Reply:
    try:
        shown = not asked.replayed
        if shown:
            display.show(story)
        asked.start()
        while not isinstance(news := asked.next(display.due_seconds()), Reply):
            if news is not None:
                story.hear(news)
            if shown:
                display.show(story)
        return news
    except KeyboardInterrupt:
        _take_back(asked, story)
        raise
    except RealmError:
        if story.end is None:
            story.note = _LOST if asked.admitted else NOT_ASKED
        raise


def _take_back(asked: Asked, story: Story) -> None:
    """Cancel a query, and wait a moment to tell in `story` what came of it."""
    story.note = _CANCELLING if asked.admitted else "taken back · nothing charged"
    asked.cancel()
    deadline = time.monotonic() + CONFIRM_SECONDS
    with suppress(RealmError):
        while story.end is None and (left := deadline - time.monotonic()) > 0:
            news = asked.next(left)
            if news is not None and not isinstance(news, Reply):
                story.hear(news)


def prepare(
    realm: Realm, prompt: str, model: str, attach: Sequence[Any], kind: Kind | None, **how: Any
) -> Query:
    """Return the query for a prompt, with what it brings along sent to the realm.

    Raises
    ------
    RealmError
        Something of it cannot be sent, or be asked; says why and what to do.
    KeyboardInterrupt
        The cell was interrupted; nothing was asked.
    """
    # Made outside: drawing a figure is the notebook's own business, and interrupted as that.
    made = [as_media(value, kind) for value in attach]
    try:
        with interruptible():
            return realm.prepare(prompt, model, attach=made, **how)
    except KeyboardInterrupt as error:
        raise explained(error, NOT_ASKED) from None


@contextmanager
def interruptible() -> Iterator[None]:
    """Have an interrupt raise :class:`KeyboardInterrupt` here, in a cell that awaits too.

    While a cell awaits, ipykernel turns an interrupt into the cancel of its coroutine, which code
    that does not await never notices. In another thread than the main one this does nothing:
    signals do not arrive there.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
