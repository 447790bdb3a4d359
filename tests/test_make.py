"""What the README's commands would do: install once, and again only where there is a reason."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def plan(target: str, venv: Path) -> str:
    """Return what make would do for a target, with the virtual environment in `venv`."""
    # Without what a `make test` around this test passes on.
    surroundings = {name: os.environ[name] for name in os.environ if not name.startswith("MAKE")}
    command = ["make", "--dry-run", target, f"VENV={venv}"]
    done = subprocess.run(
        command, cwd=ROOT, env=surroundings, capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """A virtual environment into which all has been installed just now, as far as make can see."""
    (tmp_path / "bin").mkdir()
    for name in ("bin/python", ".installed-lab", ".installed-test"):
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize("target", ["lab", "demo", "test", "quick", "bench"])
def test_a_second_time_nothing_is_installed(target: str, venv: Path) -> None:
    said = plan(target, venv)
    assert "-m pip" not in said
    assert "-m venv" not in said
    assert f"{venv}/bin/" in said


@pytest.mark.parametrize(("target", "extra"), [("demo", "lab"), ("test", "test")])
def test_what_has_changed_is_installed_again(target: str, extra: str, venv: Path) -> None:
    os.utime(venv / f".installed-{extra}", (0, 0))
    said = plan(target, venv)
    assert said.count("-m pip") == 1
    assert "--constraint constraints.txt --editable" in said
    assert "-m venv" not in said


def test_an_install_does_not_write_through_the_link_to_the_panel(venv: Path) -> None:
    os.utime(venv / ".installed-test", (0, 0))
    lines = plan("test", venv).splitlines()
    unlink = lines.index(f"rm -rf {venv}/share/jupyter/labextensions/mtor-realm")
    (install,) = (at for at, line in enumerate(lines) if "--editable" in line)
    link = next(at for at, line in enumerate(lines) if line.startswith("ln -s"))
    assert unlink < install < link


def test_on_a_fresh_machine_the_environment_is_made_first(tmp_path: Path) -> None:
    said = plan("test", tmp_path / "none")
    assert said.index("-m venv") < said.index("--editable '.[test]'") < said.index("-m pytest")


def test_what_must_pass_is_what_make_test_runs() -> None:
    assert "make test" in (ROOT / ".ci" / "run").read_text().splitlines()
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
