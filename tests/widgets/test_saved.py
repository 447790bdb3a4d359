"""What tools that save the state of widgets save of ours."""

from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.kernel.driving import offer_kernels
from tests.kernel.elsewhere import RealmElsewhere

pytestmark = pytest.mark.slow

ASK = """from mtor_kernel.widgets import Ask, Drawing
ask, drawing = Ask(), Drawing()
ask.ask("very private words")
drawing.draw("very private words")
assert ask.wait(60) and drawing.wait(60)
display(ask, drawing)"""
MAP = """from mtor_kernel import connect
realm = connect()
realm.map('Say {text}', ['a', 'b', 'c'], model='echo')"""


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with offer_kernels(tmp_path_factory.mktemp("jupyter")):
        yield


def run(elsewhere: RealmElsewhere, kernel: str, cell: str, folder: Path) -> nbformat.NotebookNode:
    """Run a cell as a tool does, and return the notebook that it saves."""
    head = "import os\nos.environ |= " + repr(elsewhere.environment)
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(source) for source in (head, cell)]
    client = NotebookClient(notebook, kernel_name=kernel, timeout=100)
    client.execute(cwd=str(folder))
    return notebook


def test_no_question_and_no_answer_is_in_the_saved_state(
    elsewhere: RealmElsewhere, kernels: None, tmp_path: Path
) -> None:
    notebook = run(elsewhere, "mtor", ASK, tmp_path)
    state = str(notebook.metadata.widgets)
    assert "mtor_kernel.widgets.ask.Ask" in state
    assert "private" not in state
    assert "private" not in str(notebook.cells[1].outputs)


def test_a_stock_kernel_shows_a_map_in_a_widget_too(
    elsewhere: RealmElsewhere, kernels: None, tmp_path: Path
) -> None:
    notebook = run(elsewhere, "python3", MAP, tmp_path)
    assert "mtor_kernel.widgets.progress.MapProgress" in str(notebook.metadata.widgets)
    assert "3 of 3 rows answered" in notebook.cells[1].outputs[0]["data"]["text/plain"]
