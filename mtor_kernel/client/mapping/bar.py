"""How far a map is: a widget where there is one, tqdm's line of text elsewhere."""

from __future__ import annotations

import warnings
from typing import Any, Self

from mtor_kernel.client import showing
from mtor_kernel.client.mapping.report import Report
from mtor_kernel.client.mapping.survey import Estimate
from mtor_kernel.protocol.account import show_credits
from mtor_kernel.protocol.errors import QueryCancelled


class Bar:
    """Shows a report as it grows. As a context manager it is closed in the end."""

    def __init__(self, total: int, price: Estimate, shown: bool) -> None:
        self._show: showing.MapShow | None = None
        if shown:
            self._show = showing.made(total, price) or Line(total, price)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._show is not None:
            self._show.close()

    def show(self, report: Report) -> None:
        """Show how far it is."""
        if self._show is not None:
            self._show.show(report)

    def check(self) -> None:
        """Raise :class:`QueryCancelled` if the person has stopped the map."""
        if self._show is not None and self._show.stopped:
            raise QueryCancelled(
                "You stopped the map. realm.last_map.result() has what was answered; run the same "
                "map again to go on."
            )


class Line:
    """A line of text: tqdm's."""

    #: An interrupt stops it, and nothing else.
    stopped = False

    def __init__(self, total: int, price: Estimate) -> None:
        self._line = _line(total, price)

    def show(self, report: Report) -> None:
        """Show how far it is."""
        told = {"failed": f"{report.failed:,}"} if report.failed else {}
        told |= {"from before": f"{report.earlier:,}"} if report.earlier else {}
        told["credits"] = show_credits(report.charged_micro)
        told |= {"waits": report.waits} if report.waits else {}
        self._line.set_postfix(told, refresh=False)
        self._line.update(report.done + report.failed - self._line.n)

    def close(self) -> None:
        """End the line."""
        self._line.close()


def _line(total: int, price: Estimate) -> Any:
    with warnings.catch_warnings():
        # Without ipywidgets it draws with text, and need not say so.
        warnings.simplefilter("ignore")
        from tqdm.auto import tqdm
    tqdm.write(f"{price}.")
    return tqdm(total=total, desc=price.model, unit="row", mininterval=0.2)
