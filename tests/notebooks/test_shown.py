"""The notebooks that show one thing each: kept with true answers, and run again by nbval."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mtor_kernel.locate import RuntimeFile
from tests.notebooks.running import kept, nbval

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

#: Those that bring a realm of their own, and those that ask the built-in models of the person's.
ALONE = ("04-fair-share.ipynb", "05-sysop.ipynb", "06-a-backend-of-your-own.ipynb")
ON_BUILT_IN = ("02-voice-and-vision.ipynb",)
#: Those whose answers tell how long they took: run, and not compared.
TIMED = ("01-every-modality.ipynb", "03-map.ipynb")
REPLAYED = "07-reproducible-notebooks.ipynb"


@pytest.mark.parametrize("name", [*ALONE, *ON_BUILT_IN, REPLAYED])
def test_it_is_kept_as_it_ran(name: str) -> None:
    kept(name)


def test_the_picture_of_fair_shares_is_kept() -> None:
    outputs = [out for cell in kept(ALONE[0]).cells for out in cell.get("outputs", [])]
    assert any("image/png" in out.get("data", {}) for out in outputs)


@pytest.mark.parametrize("name", ALONE)
def test_nbval_finds_it_as_it_was_kept(name: str) -> None:
    nbval(name)


@pytest.mark.parametrize("name", ON_BUILT_IN)
def test_nbval_finds_it_as_it_was_kept_on_the_built_in_models(own_realm: None, name: str) -> None:
    nbval(name)


@pytest.mark.parametrize("name", TIMED)
def test_nbval_runs_it_on_the_built_in_models(own_realm: None, name: str) -> None:
    nbval(name, compare=False)


def test_nbval_finds_it_as_it_was_kept_where_no_realm_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MTOR_DATA", os.fspath(tmp_path / "data"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", os.fspath(tmp_path / "runtime"))
    # Streams as in a browser: what is played is one output all the same.
    nbval(REPLAYED, MTOR_REPLAY="only", MTOR_STREAM="1")
    assert RuntimeFile().read() is None
    assert not (tmp_path / "data").exists()
