"""Models that were pulled join the catalogue, and never change what it says."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from mtor_kernel.realm.catalogue import load_catalogue

OWN = """
[aliases]
chat = ["mine"]
[[models]]
name = "mine"
modality = "chat"
backend = "echo"
rates = { free = true }
"""


def pulled(folder: Path, name: str, age: int = 0, modality: str = "chat") -> None:
    """An entry as a pull leaves it, `age` seconds ago."""
    path = folder / "models.d" / f"{name}.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(OWN.replace("mine", name).replace("chat", modality))
    os.utime(path, (1e9 - age, 1e9 - age))


def test_the_latest_leads_and_the_built_in_one_is_the_last_resort(tmp_path: Path) -> None:
    pulled(tmp_path, "old", age=9)
    pulled(tmp_path, "new")
    catalogue = load_catalogue(None, tmp_path)
    assert catalogue.aliases["chat"] == ("new", "old", *load_catalogue(None).aliases["chat"])


def test_the_aliases_of_an_operator_stay_as_they_were_written(tmp_path: Path) -> None:
    own = tmp_path / "catalogue.toml"
    own.write_text(OWN)
    pulled(tmp_path, "new")
    pulled(tmp_path, "eyes", modality="vision")
    catalogue = load_catalogue(own, tmp_path)
    assert catalogue.aliases == {"chat": ("mine",), "vision": ("eyes",)}
    assert set(catalogue.by_name) == {"mine", "new", "eyes"}


def test_a_name_of_the_catalogue_is_not_taken(tmp_path: Path) -> None:
    pulled(tmp_path, "smollm2")
    assert load_catalogue(None, tmp_path).by_name == load_catalogue(None).by_name


def test_a_broken_entry_is_left_out_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pulled(tmp_path, "good")
    (tmp_path / "models.d" / "bad.toml").write_text("[[models]]\nname = 3")
    with caplog.at_level(logging.WARNING):
        assert "good" in load_catalogue(None, tmp_path).by_name
    assert "bad.toml" in caplog.text


def test_an_entry_that_does_not_go_with_the_rest_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pulled(tmp_path, "good")
    pulled(tmp_path, "odd", modality="image")
    odd = tmp_path / "models.d" / "odd.toml"
    odd.write_text(odd.read_text().replace('image = ["odd"]', 'chat = ["odd"]'))
    assert "odd" not in load_catalogue(None, tmp_path).by_name
    assert "good" in load_catalogue(None, tmp_path).by_name
    assert "odd.toml" in caplog.text


def test_without_a_pull_there_is_only_the_catalogue(tmp_path: Path) -> None:
    assert load_catalogue(None, tmp_path) == load_catalogue(None)
