"""The second notebook: every modality, on models that answer at once and on the built-in ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from mtor_kernel.magics.bundle import ANSWER_MIME
from tests.kernel.elsewhere import RealmElsewhere
from tests.modalities import MODALITIES

pytestmark = pytest.mark.slow

NOTEBOOK = Path(__file__).parent.parent.parent / "notebooks" / "01-every-modality.ipynb"
#: Of each cell that asks, what its outputs hold: a picture or a player above, and the answer.
ASKING = ("%mtor say", "%mtor listen", "%mtor imagine", "%mtor see", "%mtor embed", "%%mtor")


@pytest.fixture(scope="module")
def realm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealmElsewhere]:
    """Echoes in every modality, which the environment names."""
    elsewhere = RealmElsewhere(tmp_path_factory.mktemp("realm"), MODALITIES)
    with pytest.MonkeyPatch.context() as environment:
        for name, value in elsewhere.environment.items():
            environment.setenv(name, value)
        yield elsewhere
    elsewhere.close()


def cells_of(notebook: Any, beginning: str) -> list[Any]:
    return [cell for cell in notebook.cells if cell.source.startswith(beginning)]


def plain(cell: Any) -> str:
    return "\n".join(output.data["text/plain"] for output in cell.outputs)


def assert_whole(notebook: Any) -> None:
    """Every question has one answer, whole, with its picture or its player, and nothing failed."""
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert not any(output.output_type == "error" for output in cell.get("outputs", []))
    for beginning in ASKING:
        asking = cells_of(notebook, beginning)
        assert asking
        for cell in asking:
            assert ANSWER_MIME in cell.outputs[-1].data
            assert len(cell.outputs) == (2 if beginning in ("%mtor say", "%mtor imagine") else 1)
    (drawing,) = cells_of(notebook, "%mtor imagine")
    assert "image/png" in drawing.outputs[0].data
    assert "<audio" in cells_of(notebook, "%mtor say")[0].outputs[0].data["text/html"]


def assert_true(notebook: Any) -> None:
    """The built-in models have said what the notebook says of them."""
    (listening,) = cells_of(notebook, "%mtor listen")
    assert "quick brown fox jumps over the lazy dog" in plain(listening)
    for seeing in [*cells_of(notebook, "%mtor see"), *cells_of(notebook, "%%mtor")]:
        assert "Meet me at noon" in plain(seeing)
    near, far = eval(plain(cells_of(notebook, "def nearness")[0]))
    assert near > 0.5 > 0.2 > far
    models = {
        output.data[ANSWER_MIME]["model"]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if ANSWER_MIME in output.get("data", {})
    }
    assert {"hibari", "whisper-tiny-en", "emoji", "sight", "minilm"} <= models
    assert not models & {"echo"}


def test_it_is_kept_with_the_answers_of_real_models() -> None:
    notebook: Any = nbformat.read(NOTEBOOK, as_version=4)
    assert_whole(notebook)
    assert_true(notebook)
    assert notebook.metadata.kernelspec.name == "mtor"
    assert NOTEBOOK.stat().st_size < 1_000_000


def test_it_runs_on_any_models(realm: RealmElsewhere, tmp_path: Path) -> None:
    notebook: Any = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=100, resources={"metadata": {"path": tmp_path}}).execute()
    assert_whole(notebook)


@pytest.mark.timeout(400)
def test_it_runs_on_the_built_in_models(own_realm: None, tmp_path: Path) -> None:
    notebook: Any = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=180, resources={"metadata": {"path": tmp_path}}).execute()
    assert_whole(notebook)
    assert_true(notebook)
