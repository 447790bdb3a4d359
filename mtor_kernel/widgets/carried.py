"""One query of a widget, carried and told by a thread of its own: cells may run meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from mtor_kernel.client import Realm, Reply
from mtor_kernel.protocol.errors import RealmError
from mtor_kernel.protocol.query import Query
from mtor_kernel.telling.asked import Asked
from mtor_kernel.telling.story import Story

#: The shortest time between two updates, in seconds: more cannot be read.
PACE_SECONDS = 0.1


class Carried:
    """Asks, tells the story as it goes, and in the end what came of it.

    Parameters
    ----------
    prepare
        Makes the query; called in the thread, since what goes along is sent to the realm then.
    show
        Called with the story so far, not too often.
    finish
        Called once, last, with the story and the answer or what went wrong.
    """

    def __init__(
        self,
        realm: Realm,
        prepare: Callable[[], Query],
        show: Callable[[Story], object],
        finish: Callable[[Story, Reply | Exception], object],
    ) -> None:
        self._realm = realm
        self._prepare = prepare
        self._show = show
        self._finish = finish
        self._asked: Asked | None = None
        self._unwanted = False
        self._thread = threading.Thread(target=self._carry, name="mtor-widget", daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        """Whether it is over."""
        return not self._thread.is_alive()

    def cancel(self) -> None:
        """Have the query end without an answer."""
        self._unwanted = True
        if self._asked is not None:
            self._asked.cancel()

    def join(self, seconds: float) -> bool:
        """Wait for its end; tell whether that came."""
        self._thread.join(seconds)
        return self.ended

    def _carry(self) -> None:
        story = Story()
        try:
            self._show(story)
            self._asked = asked = Asked(self._realm, self._prepare())
            if self._unwanted:
                asked.cancel()
            asked.start()
            result: Reply | Exception = self._follow(asked, story)
        except RealmError as error:
            result = error
        except Exception as error:  # noqa: BLE001 - shown in the widget: nobody else would hear it
            result = error
        self._finish(story, result)

    def _follow(self, asked: Asked, story: Story) -> Reply:
        shown_at, stale = 0.0, False
        while not isinstance(news := asked.next(PACE_SECONDS), Reply):
            if news is not None:
                story.hear(news)
                stale = True
            if stale and time.monotonic() - shown_at >= PACE_SECONDS:
                shown_at, stale = time.monotonic(), False
                self._show(story)
        return news
