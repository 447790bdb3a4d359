"""The notebook of maps, run as people run it."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.kernel.elsewhere import RealmElsewhere

pytestmark = pytest.mark.slow

NOTEBOOK = Path(__file__).parent.parent.parent / "notebooks" / "03-map.ipynb"


def test_it_is_kept_with_the_answers_of_a_real_model() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs for cell in code[1:])
    assert not any(output.output_type == "error" for cell in code for output in cell.outputs)


def test_it_runs_in_a_kernel_where_nobody_can_be_asked(realm: RealmElsewhere) -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=100).execute()
    (again,) = notebook.cells[7].outputs
    assert again.text == "3 of 4 rows answered, 1 failed, 3 from before; 0 credits.\n"
    (refused,) = notebook.cells[9].outputs
    assert refused.text == nbformat.read(NOTEBOOK, as_version=4).cells[9].outputs[0].text
