"""Small tables for people: aligned text first, and the same as HTML."""

from __future__ import annotations

from html import escape
from typing import Any

import msgspec

from mtor_kernel.telling.markdown import readable

#: A quiet grey that follows JupyterLab's and VS Code's theme.
QUIET = "color: var(--jp-ui-font-color2, var(--vscode-descriptionForeground, #767676))"


class Table(msgspec.Struct, frozen=True):
    """Rows of words under a heading. Numbers are words too: the caller says how they read."""

    title: str
    #: Their names; all empty for a table without a head.
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    #: Said instead of the rows where there are none.
    empty: str = "nothing"
    #: Columns that hold figures, shown to the right.
    figures: frozenset[str] = frozenset()
    #: One quiet line below.
    note: str = ""

    def plain(self) -> str:
        """Return it as aligned text."""
        lines = [self.title] if self.title else []
        lines += self._lines() if self.rows else [f"  {self.empty}"]
        return readable("\n".join([*lines, self.note] if self.note else lines))

    def html(self) -> str:
        """Return it as HTML; every word is escaped."""
        title = f"<strong>{_safe(self.title)}</strong>" if self.title else ""
        body = self._html_rows() if self.rows else f'<div style="{QUIET}">{_safe(self.empty)}</div>'
        note = f'<div style="{QUIET}; font-size: 0.85em">{_safe(self.note)}</div>'
        return f"<div>{title}{body}{note if self.note else ''}</div>"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": self.plain(), "text/html": self.html()}

    def _lines(self) -> list[str]:
        table = [self.columns, *self.rows] if any(self.columns) else [*self.rows]
        # Words of others are in it: none of them begins a line, which would look like a row.
        table = [tuple(" ".join(word.splitlines()) for word in row) for row in table]
        widths = [max(len(row[at]) for row in table) for at in range(len(self.columns))]
        return [
            "  "
            + "  ".join(
                word.rjust(width) if name in self.figures else word.ljust(width)
                for name, word, width in zip(self.columns, row, widths, strict=True)
            ).rstrip()
            for row in table
        ]

    def _html_rows(self) -> str:
        head = self._html_row("th", self.columns) if any(self.columns) else ""
        body = "".join(self._html_row("td", row) for row in self.rows)
        return f"<table><thead>{head}</thead><tbody>{body}</tbody></table>"

    def _html_row(self, tag: str, row: tuple[str, ...]) -> str:
        cells = (
            f'<{tag} style="text-align: {self._side(name)}">{_safe(word)}</{tag}>'
            for name, word in zip(self.columns, row, strict=True)
        )
        return f"<tr>{''.join(cells)}</tr>"

    def _side(self, column: str) -> str:
        return "right" if column in self.figures else "left"


def _safe(words: str) -> str:
    """Return words that neither HTML nor MathJax reads as its own."""
    return escape(readable(words)).replace("$", "<span>$</span>")
