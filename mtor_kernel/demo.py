"""Run a notebook on the MTOR kernel in a terminal, each answer as it comes: ``mtor demo``."""

from __future__ import annotations

import shutil
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

import nbformat
from jupyter_client.kernelspec import NoSuchKernel
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from traitlets.config import Config

from mtor_kernel.magics.bundle import words_of
from mtor_kernel.magics.display import Tail
from mtor_kernel.telling.figures import show_count, show_seconds

NOTEBOOK = "00-first-query.ipynb"
#: How long one cell may take, in seconds.
CELL_SECONDS = 600
#: The longest line of prose, in characters.
WIDEST = 96

_DIM, _BOLD, _PLAIN, _CLEAR_LINE = "\x1b[2m", "\x1b[1m", "\x1b[0m", "\r\x1b[K"


def main(arguments: Sequence[str] = ()) -> int:
    """Run the notebook at a path, by default the first of MTOR's own; 0 if every cell ran."""
    path = Path(arguments[0]) if arguments else _shipped()
    if not path.is_file():
        print(f"There is no notebook {path}.", file=sys.stderr)
        return 2
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]  # typed in part
    return run(notebook, path.parent, sys.stdout)


def run(notebook: nbformat.NotebookNode, folder: Path, out: TextIO) -> int:
    """Run `notebook` in `folder` and print its cells and outputs as they come; 0 if all ran."""
    began = time.monotonic()
    client = Demo(notebook, Printer(out), folder)
    try:
        client.execute()
    except CellExecutionError:
        print("A cell failed; the demo stops here.", file=out)  # its error is printed above
        return 1
    except NoSuchKernel:
        print(
            "The MTOR kernel is not installed here: run `make lab`, or pip install MTOR.", file=out
        )
        return 1
    except DeadKernelError:
        print("The kernel died; the demo stops here.", file=out)
        return 1
    seconds = show_seconds(time.monotonic() - began)
    print(f"{show_count(len(notebook.cells), 'cell')} in {seconds}.", file=out)
    return 0


class Demo(NotebookClient):
    """Executes a notebook and hands on each cell and each message of the kernel as it comes."""

    def __init__(self, notebook: nbformat.NotebookNode, printer: Printer, folder: Path) -> None:
        super().__init__(
            notebook,
            kernel_name=notebook.metadata.get("kernelspec", {}).get("name", "mtor"),
            resources={"metadata": {"path": str(folder)}},
            timeout=CELL_SECONDS,
            on_cell_start=lambda cell, cell_index: printer.start(cell),
            # Not on_cell_complete: that one comes when the cell is sent off.
            on_cell_executed=lambda cell, cell_index, execute_reply: printer.finish(),
            config=Config(KernelManager={"transport_encryption": "auto"}),
        )
        self._printer = printer

    def process_message(self, msg: dict[str, Any], cell: Any, cell_index: int) -> Any:
        """Let a message of the running cell be seen before the notebook keeps it."""
        self._printer.hear(msg["msg_type"], msg["content"])
        return super().process_message(msg, cell, cell_index)


class Printer:
    """Prints cells, and outputs as they come. Of an output that grows, only what is new."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._terminal = out.isatty()
        self._tail = Tail(out)
        #: The display that is growing, and its whole text.
        self._growing = ""
        self._whole = ""
        #: What is said of the cell's pictures, by their displays.
        self._pictures: dict[str, str] = {}
        #: What stands on the terminal's last line while no word has come.
        self._waiting = ""

    def start(self, cell: nbformat.NotebookNode) -> None:
        """Print what a cell says, or is about to run."""
        if cell.cell_type == "code":
            self._say(textwrap.indent(cell.source, "  ▏ ", lambda _: True), _DIM)
        else:
            self._say(_wrapped(cell.source), _BOLD)
        self._out.write("\n")
        self._out.flush()

    def hear(self, kind: str, content: dict[str, Any]) -> None:
        """Print what a message of the kernel shows, if anything."""
        match kind:
            case "display_data" | "update_display_data" | "execute_result":
                name = content.get("transient", {}).get("display_id", "")
                plain = content["data"].get("text/plain", "")
                if name and (name in self._pictures or "image/png" in content["data"]):
                    self._draw(name, plain)
                else:
                    self._show(name, plain)
            case "stream":
                self._end_growth()
                self._out.write(content["text"])
            case "error":
                self._end_growth()
                self._out.write("\n".join(content["traceback"]) + "\n")
        self._out.flush()

    def finish(self) -> None:
        """Print the rest of the cell's outputs."""
        self._clear_wait()
        for words in self._pictures.values():
            self._out.write(f"[{words}]\n")
        self._pictures.clear()
        self._end_growth()
        self._out.write("\n")
        self._out.flush()

    def _draw(self, name: str, plain: str) -> None:
        """Keep what is said of a picture until it is whole: a terminal shows none."""
        self._pictures[name] = plain
        if name == self._growing:
            self._clear_wait()
            self._growing = self._whole = ""

    def _show(self, name: str, plain: str) -> None:
        if not name or name != self._growing:
            self._end_growth()
        self._growing, self._whole = name, plain
        if not name:
            self._end_growth()
            return
        words = words_of(plain)
        if words:
            self._clear_wait()
            self._tail.show(words)
        elif self._terminal and plain != self._waiting:
            self._out.write(f"{_CLEAR_LINE}{_DIM}{plain}{_PLAIN}")
            self._waiting = plain

    def _end_growth(self) -> None:
        """Print what is left of the growing output."""
        self._clear_wait()
        if self._whole:
            self._tail.show(self._whole)
            self._tail.end()
        self._growing = self._whole = ""

    def _clear_wait(self) -> None:
        if self._waiting:
            self._out.write(_CLEAR_LINE)
        self._waiting = ""

    def _say(self, text: str, style: str) -> None:
        self._out.write(f"{style}{text}{_PLAIN}\n" if self._terminal else f"{text}\n")


def _wrapped(text: str) -> str:
    """Return paragraphs broken into lines that a terminal holds."""
    width = min(shutil.get_terminal_size((WIDEST, 24)).columns, WIDEST)
    return "\n\n".join(textwrap.fill(paragraph, width) for paragraph in text.split("\n\n"))


def _shipped() -> Path:
    """Return where MTOR's first notebook is: in an installed package, or in the source tree."""
    package = Path(__file__).parent
    installed = package / "notebooks" / NOTEBOOK
    return installed if installed.is_file() else package.parent / "notebooks" / NOTEBOOK
