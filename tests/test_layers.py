"""Imports point down, and importing MTOR is cheap."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
HEAVY = {"dask", "distributed", "sqlalchemy", "torch", "tornado"}


def modules_after(statement: str) -> set[str]:
    """The top-level modules that a fresh interpreter has loaded after a statement."""
    program = f"{statement}\nimport json, sys\nprint(json.dumps(list(sys.modules)))"
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return {name.partition(".")[0] for name in json.loads(ran.stdout)}


def test_imports_point_down() -> None:
    # A process of its own: the linter switches off every logger that there is.
    program = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports())"
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_importing_mtor_loads_nothing_heavy() -> None:
    assert not modules_after("import mtor_kernel") & HEAVY


def test_importing_the_workers_package_loads_no_backend() -> None:
    assert not modules_after("import dask_workers") & (HEAVY | {"xllamacpp"})


def test_the_public_names_are_announced_before_they_are_loaded() -> None:
    assert not modules_after("import mtor_kernel; assert 'RealmClient' in dir(mtor_kernel)") & HEAVY
