"""What a widget that asks has: one query at a time, a stop, an answer, followers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from mtor_kernel.client import Realm, Reply
from mtor_kernel.protocol.errors import BadInput, QueryCancelled
from mtor_kernel.protocol.query import Query
from mtor_kernel.telling.story import Story
from mtor_kernel.widgets.carried import Carried
from mtor_kernel.widgets.widget import Buffers, Content, RealmWidget


class Asking(RealmWidget):
    """Asks the realm what a person writes into it.

    Promises: one query at a time; leaving or clearing the widget does not cancel it, *Stop* and
    :meth:`cancel` do; the answer is in :attr:`reply`.
    """

    hears_in_cells = True

    def __init__(
        self, model: str, *, realm: Realm | None = None, label: str, how: dict[str, Any]
    ) -> None:
        super().__init__(realm, label=label)
        self.model = model
        #: The latest answer; ``None`` while there is none.
        self.reply: Reply | None = None
        self._how = how
        self._carried: Carried | None = None
        self._followers: list[Callable[[Reply], object]] = []
        self.realm  # noqa: B018 - found here, in the notebook's thread

    def on_reply(self, follower: Callable[[Reply], object]) -> None:
        """Have `follower` called with each answer, in a thread of its own."""
        self._followers.append(follower)

    def ask(self, prompt: str) -> None:
        """Ask as the button does, and return at once.

        Raises
        ------
        BadInput
            There are no words, or the last query has not ended.
        """
        if not prompt.strip():
            raise BadInput("There are no words: write what you want to know.")
        if self._carried is not None and not self._carried.ended:
            raise BadInput("One at a time: stop this one first, or wait for its end.")
        self.reply = None
        self._begin(prompt)
        self._carried = Carried(
            self.realm,
            lambda: self._query(prompt),
            lambda story: self._show(prompt, story),
            lambda story, result: self._end(prompt, story, result),
        )

    def cancel(self) -> None:
        """Stop what is under way, if anything is."""
        if self._carried is not None:
            self._carried.cancel()

    def wait(self, seconds: float) -> bool:
        """Wait for the end of what is under way; tell whether that came."""
        return self._carried is None or self._carried.join(seconds)

    def close(self) -> None:
        """Stop what is under way, and take the widget out of the page."""
        self.cancel()
        super().close()

    def _take(self, content: Content, buffers: Buffers) -> None:
        match content:
            case {"kind": "ask", "prompt": str(prompt)}:
                self.ask(prompt)
            case {"kind": "stop"}:
                self.cancel()

    def _query(self, prompt: str) -> Query:
        return self.realm.prepare(prompt, self.model, **self._how)

    def _begin(self, prompt: str) -> None:
        """Forget the last answer in the views."""

    @abstractmethod
    def _show(self, prompt: str, story: Story, busy: bool = True) -> None:
        """Show the story so far."""

    def _made(self, prompt: str, reply: Reply) -> None:
        """Show what the answer brought beside words."""

    def _end(self, prompt: str, story: Story, result: Reply | Exception) -> None:
        try:
            if isinstance(result, Exception):
                raise result
            self.reply = result
            self._made(prompt, result)
            self._show(prompt, story, busy=False)
            for follower in self._followers:
                follower(result)
        except Exception as error:  # noqa: BLE001 - shown in the widget: nobody else would hear it
            story.note = story.note if story.end is not None else ""
            self._show(prompt, story, busy=False)
            if not isinstance(error, QueryCancelled):
                self._trouble(error)
