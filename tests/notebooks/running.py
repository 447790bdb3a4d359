"""The shipped notebooks: where they are, and nbval, which runs them and compares."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat

NOTEBOOKS = Path(__file__).parent.parent.parent / "notebooks"


def kept(name: str) -> Any:
    """A notebook as it is kept: valid, on our kernel, run to its end without an error."""
    notebook: Any = nbformat.read(NOTEBOOKS / name, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "mtor"
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    assert not any(output.output_type == "error" for cell in code for output in cell.outputs)
    assert (NOTEBOOKS / name).stat().st_size < 1_500_000
    return notebook


def nbval(name: str, *, compare: bool = True, **environment: str) -> None:
    """Run a notebook, and compare what it says with what is kept of it."""
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider"),
            "--nbval" if compare else "--nbval-lax",
            *("--nbval-cell-timeout", "200", os.fspath(NOTEBOOKS / name)),
        ],
        env={**os.environ, "MTOR_STREAM": "0", **environment},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    cells = sum(cell.cell_type == "code" for cell in nbformat.read(NOTEBOOKS / name, 4).cells)
    assert f"{cells} passed" in ran.stdout
