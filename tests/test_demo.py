"""``mtor demo``: a notebook in the terminal."""

import io
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from mtor_kernel import demo
from tests.kernel.driving import offer_kernels
from tests.kernel.elsewhere import RealmElsewhere

pytestmark = pytest.mark.slow


class Terminal(io.StringIO):
    """Something that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(scope="module", autouse=True)
def realm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A small realm, which the environment names, and the kernel of this tree."""
    elsewhere = RealmElsewhere(tmp_path_factory.mktemp("realm"))
    with pytest.MonkeyPatch.context() as environment:
        for name, value in elsewhere.environment.items():
            environment.setenv(name, value)
        with offer_kernels(tmp_path_factory.mktemp("jupyter")):
            yield
    elsewhere.close()


def notebook_of(*cells: str) -> nbformat.NotebookNode:
    made = [
        new_markdown_cell(cell[2:]) if cell.startswith("# ") else new_code_cell(cell)
        for cell in cells
    ]
    return new_notebook(
        cells=made, metadata={"kernelspec": {"name": "mtor", "display_name": "MTOR"}}
    )


def heard(*displays: tuple[str, dict[str, str]], out: io.StringIO) -> str:
    """What a printer makes of some displays and their updates."""
    printer = demo.Printer(out)
    for name, data in displays:
        printer.hear("display_data", {"data": data, "transient": {"display_id": name}})
    printer.finish()
    return out.getvalue()


@pytest.mark.parametrize("kind", [io.StringIO, Terminal])
def test_a_picture_that_sharpens_is_one_line(kind: type[io.StringIO]) -> None:
    drawing = {"image/png": "…", "text/plain": "a picture on its way"}
    shown = heard(
        ("above", {"text/plain": "…"}),
        ("above", drawing),
        ("below", {"text/plain": "50% step 1 of 2"}),
        ("above", drawing),
        ("below", {"text/plain": "99% step 2 of 2"}),
        ("above", {"image/png": "…", "text/plain": "a picture: a heart"}),
        ("below", {"text/plain": "painter · 1 picture"}),
        out=kind(),
    )
    lines = [line.rpartition("\x1b[K")[2] for line in shown.split("\n") if line]
    assert lines == ["[a picture: a heart]", "painter · 1 picture"]


def test_each_cell_is_followed_by_its_outputs(tmp_path: Path) -> None:
    out = io.StringIO()
    notebook = notebook_of("# Ask.", "%%mtor -m slow\nbees make honey", "print('done')")
    assert demo.run(notebook, tmp_path, out) == 0
    shown = out.getvalue()
    places = [
        shown.index(part)
        for part in (
            "Ask.",
            "▏ bees make",
            "bees make honey bees",
            "slow · ",
            "▏ print",
            "done\n",
            "3 cells in",
        )
    ]
    assert places == sorted(places)


def test_what_grows_is_printed_once(tmp_path: Path) -> None:
    out = io.StringIO()
    assert demo.run(notebook_of("%mtor ask -m slow unrepeated words here"), tmp_path, out) == 0
    assert out.getvalue().count("unrepeated") == 1 + 7
    assert "\x1b" not in out.getvalue()


def test_it_is_printed_as_it_comes() -> None:
    out = io.StringIO()
    printer = demo.Printer(out)
    seen = []
    for text in ("…", "Bees\n\n…", "Bees make\n\n…", "Bees make honey\n\necho · 3 tokens"):
        data = {"data": {"text/plain": text}, "transient": {"display_id": "d"}}
        printer.hear("update_display_data", data)
        seen.append(out.getvalue())
    printer.finish()
    assert seen == ["", "Bees", "Bees make", "Bees make honey"]
    assert out.getvalue() == "Bees make honey\n\necho · 3 tokens\n\n"


def test_a_terminal_shows_the_wait_and_takes_it_back() -> None:
    out = Terminal()
    printer = demo.Printer(out)
    for text in ("2 queries before yours", "2 queries before yours", "Bees\n\n…"):
        data = {"data": {"text/plain": text}, "transient": {"display_id": "d"}}
        printer.hear("update_display_data", data)
    shown = out.getvalue()
    assert shown.count("2 queries before yours") == 1
    assert shown.endswith("\r\x1b[KBees")


def test_a_cell_that_fails_fails_the_demo(tmp_path: Path) -> None:
    out = io.StringIO()
    assert demo.run(notebook_of("%mtor ask -m nosuch Hi", "print('never')"), tmp_path, out) == 1
    assert "UnknownModel" in out.getvalue()
    assert "never" not in out.getvalue()


def test_a_notebook_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.main(["nowhere.ipynb"]) == 2
    assert "nowhere.ipynb" in capsys.readouterr().err


def test_the_first_notebook_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.main() == 0
    assert "And this is what it all cost" in capsys.readouterr().out
