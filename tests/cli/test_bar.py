"""A download is drawn on one line of a terminal, and told by tenths in a log."""

from __future__ import annotations

import io

from dask_workers.weights import File
from mtor_kernel.cli.bar import Bar

FILE = File("model.gguf", 50_000_000, "", ())


class Terminal(io.StringIO):
    """A terminal that remembers what was drawn."""

    def isatty(self) -> bool:
        return True


def test_a_log_gets_a_line_for_every_tenth() -> None:
    out = io.StringIO()
    bar = Bar(out)
    for done in range(0, FILE.size_bytes + 1, FILE.size_bytes // 100):
        bar.measure(FILE, done)
    lines = out.getvalue().splitlines()
    assert len(lines) == 11
    assert lines[-1] == "model.gguf: 50 of 50 MB"


def test_a_terminal_gets_one_line_that_ends_when_the_file_is_whole() -> None:
    out = Terminal()
    bar = Bar(out)
    for done in (0, 20_000_000, FILE.size_bytes):
        bar.measure(FILE, done)
    assert out.getvalue().count("\n") == 1
    last = out.getvalue().rsplit("\r", 1)[1]
    assert "100% ████" in last
    assert "50 of 50 MB" in last


def test_small_files_say_nothing_in_a_log() -> None:
    out = io.StringIO()
    Bar(out).measure(FILE._replace(size_bytes=300), 300)
    assert out.getvalue() == ""
