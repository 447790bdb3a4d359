"""``%mtor replay``: recorded answers, given again without a realm."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from mtor_kernel.client.replay import Cell, Mode, Record, Replay
from mtor_kernel.client.replay.place import FILE_VARIABLE, UNKNOWN, known_file, replay_file
from mtor_kernel.client.replay.weights import short
from mtor_kernel.magics.table import Table
from mtor_kernel.protocol.errors import BadInput
from mtor_kernel.protocol.ngram import Settled
from mtor_kernel.telling.figures import show_count

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from IPython.core.interactiveshell import ExecutionInfo

    from mtor_kernel.protocol.views import ModelInfo

#: Says what becomes of questions; ``only`` and ``anew`` hold whatever a cell says.
MODE_VARIABLE = "MTOR_REPLAY"
#: How much of a cell's first line is recorded, in characters.
_LINE_CHARACTERS = 80
#: Answers that nobody has asked for, of which the status tells.
_SHOWN_UNASKED = 5

_USE = (
    "%mtor replay on | only | anew | off | status | check | mend, and after the first three a FILE"
)


class Replaying:
    """The replay of one kernel, as its cells and its environment command it.

    Parameters
    ----------
    variables
        The notebook's, where Jupyter Server and VS Code say which notebook it is.
    models
        Asks the realm what it serves.
    """

    def __init__(self, variables: Mapping[str, Any], models: Callable[[], list[ModelInfo]]) -> None:
        self._variables = variables
        self._models = models
        self._named, fault = _mode_of(os.environ.get(MODE_VARIABLE, ""))

        def find() -> Path | None:
            if fault:
                raise BadInput(fault)
            return known_file(variables)

        self.replay = Replay(self._named or Mode.OFF, find)

    def before_cell(self, info: ExecutionInfo) -> None:
        """Note which cell runs; made for IPython's ``pre_run_cell``."""
        replay, lines = self.replay, (info.raw_cell or "").strip().splitlines()
        replay.run += 1
        number = self._variables.get("In", [])
        replay.cell = Cell(
            getattr(info, "cell_id", None) or "",
            len(number) if isinstance(number, list) else 0,
            lines[0][:_LINE_CHARACTERS] if lines else "",
        )

    def command(self, rest: str) -> str | Table:
        """Do what ``%mtor replay REST`` says, and return what to tell.

        Raises
        ------
        UsageError
            It means nothing.
        RealmError
            It cannot be done; says why.
        """
        word, _, file = rest.partition(" ")
        if word in ("", "status") and not file:
            return self._status()
        if word == "check" and not file:
            return self._check()
        if word == "mend" and not file:
            return self._mend()
        if word == "off" and not file:
            return self._off()
        if word not in (Mode.ON, Mode.ONLY, Mode.ANEW):
            raise UsageError(f"%mtor replay {rest} means nothing. Write {_USE}.")
        return self._on(Mode(word), file.strip().strip("\"'"))

    def _on(self, mode: Mode, file: str) -> str:
        # Who runs the notebook may know better than the notebook itself where it lies.
        path = replay_file(file) if file and not os.environ.get(FILE_VARIABLE) else None
        path = path or known_file(self._variables)
        if path is None:
            raise BadInput(UNKNOWN)
        self.replay.keep_in(path)
        self.replay.mode = self._forced or mode
        self.replay.book.refresh(shared=not self.replay.only)
        # The same words in every mode: this cell's own output shall not change either.
        return f"Replay with {path.name}."

    def _off(self) -> str:
        self.replay.mode = self._forced or Mode.OFF
        return "Replay is off." if not self.replay.on else f"{MODE_VARIABLE} keeps replay on."

    def _mend(self) -> str:
        book = self.replay.book
        moved = book.mend()
        if not moved:
            return f"{book.path.name} is whole."
        return f"{show_count(moved, 'line')} moved to {book.path.name}.damaged."

    def _status(self) -> Table:
        replay = self.replay
        rows = [("mode", f"{replay.mode}{' (by MTOR_REPLAY)' if self._forced else ''}")]
        try:
            book = replay.book
        except BadInput as error:
            return Table("Replay", ("", ""), (*rows, ("file", error.message)))
        unasked = replay.unasked()
        rows += [
            ("file", os.fspath(book.path)),
            ("recorded answers", str(len(book.records))),
            ("pictures and sounds", f"{book.shelf.size / 2**20:.1f} MiB"),
            ("played here", str(replay.played)),
            ("recorded here", str(replay.recorded)),
            ("not asked for so far", str(len(unasked))),
        ]
        rows += [("", str(one.cell)) for one in unasked[:_SHOWN_UNASKED]]
        rows += [
            (f"weights of {model}", f"{short([weights])} ({show_count(count, 'answer')})")
            for (model, weights), count in sorted(_weighed(book.records).items())
        ]
        return Table("Replay", ("", ""), tuple(rows))

    def _check(self) -> Table:
        """Return which answers were recorded from other weights than the realm serves now."""
        replay = self.replay
        replay.check_may_ask()
        replay.book.refresh()
        models = self._models()
        replay.weights.served(models)
        served = {one.name: one.weights for one in models}
        rows = [
            (model, str(count), short([weights]), short(now), _verdict(weights, now))
            for (model, weights), count in sorted(_weighed(replay.book.records).items())
            for now in [served.get(model, ())]
        ]
        return Table(
            "Weights of the recorded answers",
            ("model", "answers", "recorded from", "served now", ""),
            tuple(rows),
            empty="no answer is recorded",
            figures=frozenset({"answers"}),
        )

    @property
    def _forced(self) -> Mode | None:
        """The mode that the environment holds to, whatever a cell says."""
        return self._named if self._named in (Mode.ONLY, Mode.ANEW) else None


def _weighed(records: list[Record]) -> Counter[tuple[str, str]]:
    """Return how many answers are recorded of each model and weights."""
    ends = [one.end for one in records]
    return Counter((end.model, end.weights) for end in ends if isinstance(end, Settled))


def _verdict(weights: str, now: tuple[str, ...]) -> str:
    if not weights:
        return "not told when it was recorded"
    if not now:
        return "known once it has answered"
    return "the same" if weights in now else "others: %mtor replay anew"


def _mode_of(word: str) -> tuple[Mode | None, str]:
    """Return the mode that the environment names, and what is wrong with what it says."""
    if not word:
        return None, ""
    try:
        return Mode(word.lower()), ""
    except ValueError:
        known = ", ".join(Mode)
        # Nothing is asked then: a misspelt "only" shall not cost anything.
        return Mode.ONLY, f"{MODE_VARIABLE} is {word!r}: it may be {known}."
