"""Where an answer appears: one display that is rewritten as it grows, or a terminal.

A display takes the story of a query as often as one likes, and shows it as often as is good for
whoever looks.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any, Protocol, TextIO

from IPython.display import publish_display_data

from mtor_kernel.magics.bundle import bundle, preview_bundle
from mtor_kernel.telling.markdown import readable
from mtor_kernel.telling.story import Story

#: Most updates a second of one display: more cannot be read and would crowd out other messages.
MOST_UPDATES = 15
#: Each update carries the whole text, so a long one comes less often: bytes a second at most.
MOST_BYTES = 250_000
#: And making it takes at most this share of the time.
MOST_BUSY = 0.2


#: Shows a MIME bundle with its metadata under a display's id; tells whether that exists already.
Publish = Callable[[dict[str, Any], dict[str, Any], str, bool], None]


class Display(Protocol):
    """What asking needs of the place where its answer appears."""

    def show(self, story: Story) -> None:
        """Take the story so far; it may be shown now, later or, when newer ones come, never."""

    def due_seconds(self) -> float | None:
        """Return when :meth:`show` should be called again for what was held back, or ``None``."""

    def reveal(self, data: dict[str, Any], metadata: dict[str, Any]) -> None:
        """Show a picture or a player above the last word."""

    def finish(self, data: dict[str, Any]) -> None:
        """Show the last word; nothing is shown after it."""


class CellDisplay:
    """One output of a cell. Every update has the same ``display_id`` and carries everything.

    A picture that sharpens, or a player, is a second output above it: the first one then becomes
    that, and the words go on below. Of all pictures a notebook keeps the last one, if it is whole.

    Parameters
    ----------
    publish
        Called with the MIME bundle, its metadata, the display's id and whether that exists already.
    clock
        Monotonic seconds.
    """

    def __init__(
        self, publish: Publish | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.id = uuid.uuid4().hex
        self._publish = publish or _publish
        self._clock = clock
        self._shown = False
        #: The output above, and what of a picture it shows.
        self._above = ""
        self._preview = b""
        self._whole = False
        self._last: tuple[str, str, bytes] | None = None
        self._next_at = clock()
        self._held_back = False

    def show(self, story: Story) -> None:
        now, latest = self._clock(), (story.text, story.note, story.preview)
        self._held_back = latest != self._last and now < self._next_at
        if self._held_back or latest == self._last:
            return
        self._last = latest
        if story.preview != self._preview:
            self._preview = story.preview
            self._put_above(*preview_bundle(story.preview, "…"))
        data = bundle(story.text, story.note)
        self._put(data)
        size = sum(len(part) for part in data.values()) + len(story.preview)
        shown_at = self._clock()
        wait = max(size / MOST_BYTES, (shown_at - now) / MOST_BUSY)
        # From when it was shown: it may have taken longer to make than the one that follows.
        self._next_at = max(shown_at + 1 / MOST_UPDATES, now + wait)

    def due_seconds(self) -> float | None:
        return max(0.0, self._next_at - self._clock()) if self._held_back else None

    def reveal(self, data: dict[str, Any], metadata: dict[str, Any]) -> None:
        self._put_above(data, metadata)
        self._whole = True

    def finish(self, data: dict[str, Any]) -> None:
        self._held_back = False
        if self._above and not self._whole:
            self._put_above(*preview_bundle(b"", "The picture was not finished."))
        self._put(data)

    def _put_above(self, data: dict[str, Any], metadata: dict[str, Any]) -> None:
        exists = bool(self._above) or self._shown
        if not self._above:
            self._above, self.id, self._shown = self.id, uuid.uuid4().hex, False
        self._publish(data, metadata, self._above, exists)

    def _put(self, data: dict[str, Any]) -> None:
        self._publish(data, {}, self.id, self._shown)
        self._shown = True


class FinalDisplay:
    """One output, shown once when it is whole: for tools that know no updates."""

    def show(self, story: Story) -> None:
        """Wait for the end."""

    def due_seconds(self) -> float | None:
        return None

    def reveal(self, data: dict[str, Any], metadata: dict[str, Any]) -> None:
        publish_display_data(data, metadata)

    def finish(self, data: dict[str, Any]) -> None:
        publish_display_data(data)


#: Behind what only a notebook shows or plays.
_UNSEEN = '\n(not to be had in a terminal: --as NAME keeps it, and NAME.save("FILE") writes it)'


class TerminalDisplay:
    """A terminal, which cannot take back what it has shown: new words follow the old ones."""

    def __init__(self, out: TextIO) -> None:
        self._tail = Tail(out)

    def show(self, story: Story) -> None:
        self._tail.show(readable(story.text).strip())

    def due_seconds(self) -> float | None:
        return None

    def reveal(self, data: dict[str, Any], metadata: dict[str, Any]) -> None:
        self._tail.end()
        self._tail.show(data["text/plain"] + (_UNSEEN if len(data) > 1 else ""))
        self._tail.end()

    def finish(self, data: dict[str, Any]) -> None:
        self._tail.show(data["text/plain"])
        self._tail.end()


class Tail:
    """Prints of a growing text what is new, and all of it where it has changed."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._printed = ""

    def show(self, text: str) -> None:
        """Print what `text` has more than what was printed."""
        if text.startswith(self._printed):
            self._out.write(text[len(self._printed) :])
        elif self._printed:
            self._out.write(f"\n{text}")
        self._out.flush()
        self._printed = text

    def end(self) -> None:
        """End the last line."""
        if self._printed and not self._printed.endswith("\n"):
            self._out.write("\n")
        self._out.flush()
        self._printed = ""


def _publish(data: dict[str, Any], metadata: dict[str, Any], display_id: str, update: bool) -> None:
    publish_display_data(data, metadata, transient={"display_id": display_id}, update=update)
