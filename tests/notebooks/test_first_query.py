"""The first notebook, run by the tools that people run notebooks with."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import papermill
import pytest
from nbclient import NotebookClient

from mtor_kernel.magics.bundle import ANSWER_MIME
from tests.kernel.elsewhere import RealmElsewhere

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

NOTEBOOK = Path(__file__).parent.parent.parent / "notebooks" / "00-first-query.ipynb"


def outputs(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def answers(notebook: nbformat.NotebookNode) -> list[dict[str, object]]:
    return [
        output.data[ANSWER_MIME]
        for output in outputs(notebook)
        if ANSWER_MIME in output.get("data", {})
    ]


def assert_whole(notebook: nbformat.NotebookNode) -> None:
    """Every question has one answer, whole, and nothing failed."""
    asking = [cell for cell in notebook.cells if cell.source.startswith(("%%mtor", "Computer,"))]
    assert len(answers(notebook)) == len(asking) == 5
    assert all(len(cell.outputs) == 1 for cell in asking)
    assert not any(output.output_type == "error" for output in outputs(notebook))


def test_it_is_kept_with_the_answers_of_a_real_model() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert_whole(notebook)
    assert {answer["model"] for answer in answers(notebook)} == {"smollm2"}
    assert notebook.metadata.kernelspec.name == "mtor"


def test_nbclient_runs_it_without_a_server(realm: RealmElsewhere) -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=100).execute()
    assert_whole(notebook)


def test_papermill_runs_it(realm: RealmElsewhere, tmp_path: Path) -> None:
    papermill.execute_notebook(
        NOTEBOOK, tmp_path / "out.ipynb", progress_bar=False, execution_timeout=100
    )
    assert_whole(nbformat.read(tmp_path / "out.ipynb", as_version=4))


def test_nbval_finds_it_as_it_was_kept(own_realm: None, tmp_path: Path) -> None:
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--nbval"),
            *("--nbval-cell-timeout", "100", os.fspath(NOTEBOOK)),
        ],
        env={**os.environ, "MTOR_STREAM": "0"},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "13 passed" in ran.stdout
