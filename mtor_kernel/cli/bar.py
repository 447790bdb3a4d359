"""How far a download is, on one line of a terminal; in a log, a line every tenth."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from dask_workers.weights import File

#: Between two drawings.
_DRAW_SECONDS = 0.2
_WIDTH = 24


class Bar:
    """Draws the downloads of one bundle, one after the other."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._live = out.isatty()
        self._file: File | None = None
        self._began_at, self._began_with = 0.0, 0
        self._drawn_at, self._tenth = 0.0, -1

    def say(self, sentence: str) -> None:
        """Say something between two files."""
        print(sentence, file=self._out, flush=True)

    def measure(self, file: File, done: int) -> None:
        """Show that `done` bytes of `file` are here."""
        now = time.monotonic()
        if file is not self._file:
            self._file, self._began_at, self._began_with = file, now, done
            self._drawn_at, self._tenth = 0.0, -1
        whole, tenth = done == file.size_bytes, done * 10 // file.size_bytes
        if self._live and (whole or now - self._drawn_at > _DRAW_SECONDS):
            self._drawn_at = now
            print(
                f"\r{self._line(file, done, now)}\033[K", end="\n" if whole else "", file=self._out
            )
            self._out.flush()
        elif not self._live and tenth > self._tenth and file.size_bytes > 1e7:
            self._tenth = tenth
            self.say(f"{file.name}: {done / 1e6:,.0f} of {file.size_bytes / 1e6:,.0f} MB")

    def _line(self, file: File, done: int, now: float) -> str:
        share = done / file.size_bytes
        filled = round(share * _WIDTH)
        drawn = "█" * filled + "░" * (_WIDTH - filled)
        line = f"{share:4.0%} {drawn} {done / 1e6:,.0f} of {file.size_bytes / 1e6:,.0f} MB"
        rate = (done - self._began_with) / max(now - self._began_at, 1e-9)
        if rate > 0 and done < file.size_bytes:
            left = (file.size_bytes - done) / rate
            line += f", {rate / 1e6:.1f} MB/s, {_spell(left)} left"
        return f"{line}  {file.name}"


def _spell(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{round(seconds)} s" if seconds < 100 else f"{minutes} min"
