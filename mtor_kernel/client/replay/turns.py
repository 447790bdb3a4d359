"""Which of several equal questions is asked now. Pure.

Questions are counted: the second time that a notebook asks the same is number 2, and its second
answer belongs to it. A cell that is run again is not the notebook going on, so its questions have
the numbers that they had, where the front end tells which cell it is.
"""

from __future__ import annotations

from collections import Counter, defaultdict


class Turns:
    """Counts equal questions, from the start of a kernel."""

    def __init__(self) -> None:
        self._asked: Counter[str] = Counter()
        #: The numbers that a cell's equal questions have, in order, by cell and question.
        self._of_cell: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        #: How often a cell has asked each question in its present run.
        self._in_run: dict[str, tuple[int, Counter[str]]] = {}

    def next(self, question: str, cell: str = "", run: int = 0) -> int:
        """Return the number of a question that is asked now, and count it.

        `cell` is the id of the cell that asks, and `run` differs each time that it is run.
        """
        number = self.peek(question, cell, run)
        if not cell:
            self._asked[question] = number
            return number
        known = self._of_cell[cell, question]
        counted = self._run(cell, run)
        if counted[question] == len(known):
            known.append(number)
            self._asked[question] = number
        counted[question] += 1
        return number

    def peek(self, question: str, cell: str = "", run: int = 0) -> int:
        """Return the number that :meth:`next` would, and count nothing."""
        if cell:
            known = self._of_cell[cell, question]
            at = self._run(cell, run)[question]
            if at < len(known):
                return known[at]
        return self._asked[question] + 1

    def give_back(self, question: str, number: int) -> None:
        """Uncount a question that was not answered: it may be asked again under its number."""
        if self._asked[question] == number:
            self._asked[question] -= 1
            for (cell, asked), known in self._of_cell.items():
                if asked == question and known[-1:] == [number]:
                    known.pop()
                    _, counted = self._in_run[cell]
                    counted[question] = min(counted[question], len(known))

    def _run(self, cell: str, run: int) -> Counter[str]:
        found = self._in_run.get(cell)
        if found is None or found[0] != run:
            found = self._in_run[cell] = (run, Counter())
        return found[1]
