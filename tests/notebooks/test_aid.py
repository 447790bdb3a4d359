"""Help with code from the small model that MTOR brings: something comes, and nothing breaks."""

from pathlib import Path

import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from mtor_kernel.magics.bundle import ANSWER_MIME

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

CELLS = [
    "ages = ['36', 'forty-one']\nsum(map(int, ages))",
    "%mtor explain --max-tokens 80",
    "%mtor fix --max-tokens 80",
    "%mtor doc --max-tokens 60 sorted",
    "%mtor write --max-tokens 80 a function that adds two numbers",
    "Computer, what went wrong?",
]


def test_a_small_model_helps_as_it_can(own_realm: None, tmp_path: Path) -> None:
    notebook = new_notebook(
        cells=[new_code_cell(cell) for cell in CELLS],
        metadata={"kernelspec": {"name": "mtor", "display_name": "MTOR", "language": "python"}},
    )
    notebook.cells[0].metadata["tags"] = ["raises-exception"]
    NotebookClient(notebook, timeout=180, resources={"metadata": {"path": tmp_path}}).execute()
    for cell in notebook.cells[1:]:
        (answer,) = cell.outputs
        assert answer.data[ANSWER_MIME]["text"].strip()
    for proposing in (notebook.cells[2], notebook.cells[4]):
        note = proposing.outputs[0].data["text/plain"].rpartition("\n\n")[2]
        assert "in the next cell, not run" in note or "no usable code" in note
