"""A notebook whose answers are recorded beside it, run by the tools that run notebooks."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import papermill
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from mtor_kernel.client.replay import Book
from mtor_kernel.locate import RuntimeFile
from tests.kernel.elsewhere import RealmElsewhere
from tests.modalities import MODALITIES
from tests.realms import CATALOGUE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SLOW = CATALOGUE[CATALOGUE.index('[[models]]\nname = "slow"') :]
CELLS = [
    "%mtor replay on demo.ipynb",
    "from tests import modalities\npicture, sound = modalities.picture(), modalities.sound()",
    "%%mtor -m slow\nbees make honey",
    "%mtor ask --as first Why?",
    "%mtor ask Why?",
    "Computer, is `picture` large?",
    "%%mtor chat\nMy name is Ada.",
    "%%mtor chat\nWhat is my name?",
    "%mtor imagine --seed 3 a red heart",
    "%mtor say Good morning. And good night.",
    "%mtor see {picture} What is it?",
    "%mtor listen {sound}",
    "%mtor embed the sea",
    "%mtor api weather city=Rome",
    "realm.map('Say {}', ['one', 'two', 'one'], progress=False), str(realm.last_map)",
    "first.query, realm.ask('Who?').charge, realm.imagine('a tree')",
]


@pytest.fixture(scope="module")
def realm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealmElsewhere]:
    elsewhere = RealmElsewhere(tmp_path_factory.mktemp("realm"), MODALITIES + SLOW)
    yield elsewhere
    elsewhere.close()


def kept(folder: Path, cells: list[str]) -> Path:
    """Run a notebook where the environment's realm is, and keep it with its answers."""
    notebook = new_notebook(
        cells=[new_code_cell(cell) for cell in cells],
        metadata={"kernelspec": {"name": "mtor", "display_name": "MTOR", "language": "python"}},
    )
    path = folder / "demo.ipynb"
    NotebookClient(notebook, timeout=100, resources={"metadata": {"path": folder}}).execute()
    nbformat.write(notebook, path)
    return path


def nbval(notebook: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Have nbval look whether the cells give what the notebook has, streamed as by default."""
    return subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--nbval"),
            *("--nbval-cell-timeout", "100", os.fspath(notebook)),
        ],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )


@pytest.fixture
def no_realm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No realm runs, and it is seen if one is started."""
    for name in ("MTOR_URL", "MTOR_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MTOR_DATA", os.fspath(tmp_path / "none"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", os.fspath(tmp_path / "none"))
    yield
    assert RuntimeFile().read() is None


def test_nbval_passes_on_streamed_cells_with_no_realm(
    realm: RealmElsewhere, no_realm: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as there:
        for name, value in realm.environment.items():
            there.setenv(name, value)
        notebook = kept(tmp_path, CELLS)
        both = nbval(notebook)
    assert both.returncode == 0, both.stdout + both.stderr
    size = (tmp_path / "demo.mtor.jsonl").stat().st_size
    only = nbval(notebook, MTOR_REPLAY="only")
    assert only.returncode == 0, only.stdout + only.stderr
    assert f"{len(CELLS)} passed" in only.stdout
    assert (tmp_path / "demo.mtor.jsonl").stat().st_size == size


def test_papermill_replays_a_copy_elsewhere(
    realm: RealmElsewhere, no_realm: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as there:
        for name, value in realm.environment.items():
            there.setenv(name, value)
        notebook = kept(tmp_path, CELLS[:5])
    monkeypatch.setenv("MTOR_REPLAY", "only")
    monkeypatch.setenv("MTOR_REPLAY_FILE", os.fspath(notebook))
    out = tmp_path / "elsewhere.ipynb"
    papermill.execute_notebook(notebook, out, progress_bar=False, execution_timeout=100)
    before, after = (nbformat.read(path, as_version=4) for path in (notebook, out))
    assert [cell.outputs for cell in after.cells] == [cell.outputs for cell in before.cells]


def test_the_answers_of_a_real_model_are_replayed(
    own_realm: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = [CELLS[0], "%%mtor -t 0.9 --max-tokens 30\nTell me about bees.", *CELLS[6:8]]
    notebook = kept(tmp_path, cells)
    book = Book(tmp_path / "demo.mtor.jsonl")
    book.refresh()
    assert len(book.records) == 3
    environment = {"MTOR_URL": "http://127.0.0.1:9/", "MTOR_TOKEN": "none", "MTOR_REPLAY": "only"}
    ran = nbval(notebook, **environment)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"{len(cells)} passed" in ran.stdout
