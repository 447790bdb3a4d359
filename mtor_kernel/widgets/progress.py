"""How far a map is."""

from __future__ import annotations

import os
import time
from typing import Any

from IPython.core.getipython import get_ipython
from IPython.display import display

from mtor_kernel.client.mapping import Estimate, Report
from mtor_kernel.protocol.account import show_credits
from mtor_kernel.telling.figures import show_seconds
from mtor_kernel.widgets.script import script
from mtor_kernel.widgets.widget import Buffers, Content, RealmWidget


class MapProgress(RealmWidget):
    """Shows a map's rows: done, failed, credits, how long it still takes; with a button to stop it.

    When the map is over it becomes one line of text, which the notebook keeps.
    """

    _esm = script("common", "progress")
    hears_in_cells = True

    def __init__(self, total: int, price: Estimate) -> None:
        super().__init__(label=f"Map of {price.model}")
        #: Whether the person has pressed the button.
        self.stopped = False
        self._total = total
        self._price = price
        self._began = time.monotonic()
        self._last = ""
        self._handle: Any = display(self, display_id=True)

    def show(self, report: Report) -> None:
        """Show how far it is."""
        self._last = str(report)
        ended = report.done + report.failed
        self._tell(
            "map",
            estimate=f"{self._price}.",
            ended=ended,
            total=self._total,
            counts=f"{ended:,} of {self._total:,} rows",
            failed=f"{report.failed:,} failed" if report.failed else "",
            earlier=f"{report.earlier:,} from before" if report.earlier else "",
            credits=f"{show_credits(report.charged_micro)} credits",
            left=self._left(report),
            waits=report.waits,
        )

    def close(self) -> None:
        """Leave one line of text in the place of the widget."""
        if self._handle is not None and self.comm is not None:
            self._handle.update({"text/plain": f"{self._price.model}: {self._last}"}, raw=True)
        super().close()

    def _left(self, report: Report) -> str:
        """Return how long the rest takes, by the rows that this run asked."""
        asked = report.done + report.failed - report.earlier
        left = self._total - report.done - report.failed
        if asked <= 0 or left <= 0:
            return ""
        return f"{show_seconds((time.monotonic() - self._began) / asked * left)} left"

    def _take(self, content: Content, buffers: Buffers) -> None:
        if content.get("kind") == "stop":
            self.stopped = True


def make(total: int, price: Estimate) -> MapProgress | None:
    """Return the widget of a map; ``None`` where there is no kernel, or tools want plain text."""
    shell = get_ipython()
    if getattr(shell, "kernel", None) is None or os.environ.get("MTOR_STREAM") == "0":
        return None
    return MapProgress(total, price)
