"""Every word of the panel that people see is given to translators, and their catalogue is fresh."""

import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "labextension"


def check(folder: Path) -> "subprocess.CompletedProcess[str]":
    """Look through the panel that lies in `folder`."""
    node = shutil.which("node")
    if node is None or not (FOLDER / "node_modules" / "typescript").exists():
        pytest.skip("there is no Node here, or `jlpm install` has not run in labextension")
    return subprocess.run(
        [node, "strings.mjs", "--check"], cwd=folder, capture_output=True, text=True, check=False
    )


def copied(to: Path) -> Path:
    """Return a copy of the panel's sources to spoil."""
    for name in ("src", "schema", "locale"):
        shutil.copytree(FOLDER / name, to / name)
    shutil.copy(FOLDER / "strings.mjs", to)
    (to / "node_modules").symlink_to(FOLDER / "node_modules")
    return to


def test_no_word_is_left_out_and_the_catalogue_is_fresh() -> None:
    done = check(FOLDER)
    assert done.returncode == 0, done.stderr


def test_words_that_are_not_given_to_translators_are_found(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    spoilt = {
        "text": "export const a = <p>Good morning</p>;",
        "quoted": 'export const a = <p>{"Good morning"}</p>;',
        "attribute": 'export const a = <input aria-label="Good morning" />;',
        "template": "export const a = <img alt={`Good morning ${1}`} />;",
        "property": 'export const a = { label: "Good morning" };',
        "error": 'throw new Error("Good morning");',
    }
    for name, code in spoilt.items():
        (folder / "src" / f"{name}.tsx").write_text(code)
    done = check(folder)
    assert done.returncode == 1
    found = [line for line in done.stderr.splitlines() if "Good morning" in line]
    assert {name for name in spoilt if any(f"{name}.tsx" in line for line in found)} == set(spoilt)


def test_a_catalogue_that_is_stale_is_found(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    (folder / "src" / "new.ts").write_text("export const a = trans.__('Good morning');")
    done = check(folder)
    assert done.returncode == 1
    assert "jlpm strings" in done.stderr
