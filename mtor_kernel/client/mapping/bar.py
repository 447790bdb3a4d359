"""How far a map is, on one line: tqdm's, which picks a widget or text by itself."""

from __future__ import annotations

import warnings
from typing import Any, Self

from mtor_kernel.client.mapping.report import Report
from mtor_kernel.client.mapping.survey import Estimate
from mtor_kernel.protocol.account import show_credits


class Bar:
    """Shows a report as it grows. As a context manager it is closed in the end."""

    def __init__(self, total: int, price: Estimate, shown: bool) -> None:
        self._line = _line(total, price) if shown else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._line is not None:
            self._line.close()

    def show(self, report: Report) -> None:
        """Show how far it is."""
        if self._line is None:
            return
        told = {"failed": f"{report.failed:,}"} if report.failed else {}
        told |= {"from before": f"{report.earlier:,}"} if report.earlier else {}
        told["credits"] = show_credits(report.charged_micro)
        told |= {"waits": report.waits} if report.waits else {}
        self._line.set_postfix(told, refresh=False)
        self._line.update(report.done + report.failed - self._line.n)


def _line(total: int, price: Estimate) -> Any:
    with warnings.catch_warnings():
        # Without ipywidgets it draws with text, and need not say so.
        warnings.simplefilter("ignore")
        from tqdm.auto import tqdm
    tqdm.write(f"{price}.")
    return tqdm(total=total, desc=price.model, unit="row", mininterval=0.2)
