"""One's own queries and spending as tables and pictures, for a notebook.

pandas and Matplotlib are imported only where somebody asks for what they make.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, overload

from mtor_kernel.protocol.account import MICRO, show_credits
from mtor_kernel.protocol.errors import BadInput
from mtor_kernel.protocol.views import QueryInfo, UsageRow

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

#: The models that a picture tells apart; the rest are drawn as one.
MOST_MODELS = 9
#: The days that are named below a picture.
MOST_TICKS = 30
_REST = "others"


def history_frame(queries: Sequence[QueryInfo]) -> DataFrame:
    """Return queries as a DataFrame, a row each, newest first.

    Raises
    ------
    BadInput
        pandas is not installed.
    """
    pandas = _pandas("realm.history()", "realm.queries() gives the same as a list")
    rows = [
        {
            "id": one.id,
            "asked_at": one.created_at,
            "model": one.model,
            "asked": one.asked,
            "modality": str(one.modality),
            "status": str(one.stage),
            "seconds": None if one.ended_at is None else one.ended_at - one.created_at,
            "credits": one.charge.amount_micro / MICRO if one.charge else 0.0,
            "input_tokens": one.charge.usage.input_tokens if one.charge else 0,
            "output_tokens": one.charge.usage.output_tokens if one.charge else 0,
            "attempts": one.attempt,
            "question": one.prompt,
            "error": one.error.message if one.error else "",
        }
        for one in queries
    ]
    frame = pandas.DataFrame(rows, columns=list(_HISTORY))
    frame["asked_at"] = pandas.to_datetime(frame["asked_at"], unit="s", utc=True)
    return frame.astype(_HISTORY)


#: The columns of each table, with their types: the same with no rows, and with nothing in them.
_HISTORY = {
    "id": "str", "asked_at": "datetime64[ns, UTC]", "model": "str", "asked": "str",
    "modality": "str", "status": "str", "seconds": "float64", "credits": "float64",
    "input_tokens": "int64", "output_tokens": "int64", "attempts": "int64", "question": "str",
    "error": "str",
}  # fmt: skip
_SPENDING = {
    "day": "datetime64[ns]", "model": "str", "queries": "int64", "credits": "float64",
    "input_tokens": "int64", "output_tokens": "int64", "images": "int64", "audio_ms": "int64",
    "characters": "int64",
}  # fmt: skip


class Spending(Sequence[UsageRow]):
    """What one spent, by day and model: a sequence of rows, a DataFrame and a picture.

    A notebook shows the picture, or the sum in words where Matplotlib is not installed.
    """

    def __init__(self, rows: Sequence[UsageRow]) -> None:
        self._rows = tuple(rows)

    @overload
    def __getitem__(self, at: int) -> UsageRow: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[UsageRow]: ...

    def __getitem__(self, at: Any) -> Any:
        return self._rows[at]

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[UsageRow]:
        return iter(self._rows)

    def __repr__(self) -> str:
        spent = show_credits(sum(row.charge_micro for row in self._rows))
        queries = sum(row.queries for row in self._rows)
        days = len({row.day for row in self._rows})
        return f"<Spending: {spent} credits, {queries:,} queries on {days} days>"

    @property
    def frame(self) -> DataFrame:
        """The rows as a DataFrame; pandas must be installed."""
        pandas = _pandas("The table", "the rows themselves are what you have here")
        names = ("input_tokens", "output_tokens", "images", "audio_ms", "characters")
        return pandas.DataFrame(
            [
                {
                    "day": pandas.Timestamp(row.day),
                    "model": row.model,
                    "queries": row.queries,
                    "credits": row.charge_micro / MICRO,
                    **{name: getattr(row, name) for name in names},
                }
                for row in self._rows
            ],
            columns=list(_SPENDING),
        ).astype(_SPENDING)

    @property
    def figure(self) -> Figure:
        """Credits by day, a colour a model; Matplotlib must be installed."""
        try:
            from matplotlib.figure import Figure
        except ImportError:
            raise BadInput(
                "Matplotlib is not installed here: install it with `pip install matplotlib`, or "
                "take the figures as .frame."
            ) from None
        # Not pyplot's: it would be kept, and shown a second time.
        figure = Figure(figsize=(8, 3.2), layout="constrained")
        axes = figure.subplots()
        days, bars = self._bars()
        below = [0.0] * len(days)
        for model, spent in bars.items():
            axes.bar(days, spent, bottom=below, label=model)
            below = [low + high for low, high in zip(below, spent, strict=True)]
        axes.set_ylabel("credits")
        axes.tick_params(axis="x", rotation=45 if len(days) > 5 else 0)
        axes.set_xticks(range(0, len(days), 1 + len(days) // MOST_TICKS))
        if bars:
            axes.legend(fontsize="small")
        else:
            axes.set_title("nothing was asked")
        return figure

    def _bars(self) -> tuple[list[str], dict[str, list[float]]]:
        """Return the days, quiet ones too, and of each model what was spent on each of them."""
        days = _days_between({row.day for row in self._rows})
        spent: dict[str, int] = {}
        for row in self._rows:
            spent[row.model] = spent.get(row.model, 0) + row.charge_micro
        leading = sorted(spent, key=lambda model: (-spent[model], model))[:MOST_MODELS]
        bars: dict[str, list[float]] = {model: [0.0] * len(days) for model in leading}
        for row in self._rows:
            name = row.model if row.model in bars else _REST
            bar = bars.setdefault(name, [0.0] * len(days))
            bar[days.index(row.day)] += row.charge_micro / MICRO
        return days, bars

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        plain = {"text/plain": repr(self)}
        try:
            figure = self.figure
        except BadInput:
            return plain
        file = io.BytesIO()
        figure.savefig(file, format="png")
        return {**plain, "image/png": base64.b64encode(file.getvalue()).decode()}


def _days_between(days: set[str]) -> list[str]:
    """Return every day from the first to the last."""
    if not days:
        return []
    first, last = (date.fromisoformat(one) for one in (min(days), max(days)))
    return [(first + timedelta(number)).isoformat() for number in range((last - first).days + 1)]


def _pandas(what: str, instead: str) -> Any:
    try:
        import pandas
    except ImportError:
        raise BadInput(
            f"{what} needs pandas, which is not installed here: `pip install pandas`; {instead}."
        ) from None
    return pandas
