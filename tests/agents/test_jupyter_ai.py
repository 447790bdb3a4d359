"""The realm in jupyter-ai: its real magics, and the real litellm below them, on `v1/`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from mtor_kernel.protocol.lifecycle import Stage
from tests.docs.pages import page
from tests.kernel.driving import offer_kernels
from tests.kernel.elsewhere import RealmElsewhere

pytestmark = pytest.mark.slow

#: What the page tells a person to run first: Python, then the magics.
FIRST = [
    page("user/jupyter-ai.md").partition(f"```{kind}\n")[2].partition("```")[0]
    for kind in ("python", "text")
]


@pytest.fixture(scope="module")
def realm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealmElsewhere]:
    elsewhere = RealmElsewhere(tmp_path_factory.mktemp("realm"))
    with pytest.MonkeyPatch.context() as environment:
        for name, value in elsewhere.environment.items():
            environment.setenv(name, value)
        # Else litellm asks for its list of prices in the network when it is imported.
        environment.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        with offer_kernels(tmp_path_factory.mktemp("jupyter")):
            yield elsewhere
    elsewhere.close()


def ran(folder: Path, *cells: str) -> list[Any]:
    """Run cells on the MTOR kernel as a notebook, and return them with their outputs."""
    notebook: Any = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source in (*FIRST, *cells)],
        metadata={"kernelspec": {"name": "mtor", "display_name": "MTOR"}},
    )
    NotebookClient(notebook, timeout=100, resources={"metadata": {"path": folder}}).execute()
    found: list[Any] = notebook.cells[len(FIRST) :]
    return found


def shown(cell: Any) -> str:
    (result,) = [one for one in cell.outputs if one.output_type == "execute_result"]
    return str(result.data["text/plain"])


def test_a_cell_of_jupyter_ai_is_answered_by_the_realm_and_paid_there(
    realm: RealmElsewhere, tmp_path: Path
) -> None:
    (asked,) = ran(tmp_path, "%%ai realm -f text\nWhat do bees make?")
    assert "What do bees make?" in shown(asked)

    async def latest() -> Any:
        async with realm.small.client() as client:
            return (await client.history(limit=1))[0]

    query = realm.run(latest())
    assert (query.model, query.stage) == ("echo", Stage.SETTLED)
    assert query.charge.amount_micro > 0


def test_it_lives_beside_our_own_magics(realm: RealmElsewhere, tmp_path: Path) -> None:
    theirs, ours = ran(tmp_path, "%%ai realm -f text\nTheirs", "%%mtor\nOurs")
    assert "Theirs" in shown(theirs)
    assert "Ours" in ours.outputs[-1].data["text/plain"]


def test_a_refusal_is_shown_with_the_realms_sentence(realm: RealmElsewhere, tmp_path: Path) -> None:
    _, refused = ran(tmp_path, "%ai alias other openai/nobody", "%%ai other -f text\nHello")
    told = "".join(output.get("text", "") for output in refused.outputs)
    assert "There is no model" in told or "nobody" in told
    assert realm.environment["MTOR_TOKEN"] not in str(refused)
