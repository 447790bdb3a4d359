"""What the weights of a model are known by."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from dask_workers.weights.fingerprint import FILE, fingerprint, remember


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("MTOR_DATA", os.fspath(folder))
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"weights")
    return path


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_one_file_is_known_by_its_own_hash(model: Path) -> None:
    assert fingerprint([model]) == f"sha256:{sha256(b'weights')}"


def test_a_folder_is_known_by_its_files_and_their_names(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "a.bin").write_bytes(b"a")
    (folder / "b.json").write_bytes(b"b")
    (folder / ".lock").write_bytes(b"not of the model")
    before = fingerprint([folder])
    listed = f"{sha256(b'a')}  a.bin\n{sha256(b'b')}  b.json\n"
    assert before == f"sha256:{sha256(listed.encode())}"
    (folder / "b.json").rename(folder / "c.json")
    assert fingerprint([folder]) != before


def test_a_file_is_read_once_and_again_when_it_has_changed(model: Path) -> None:
    assert fingerprint([model], read=False) == ""
    known = fingerprint([model])
    assert fingerprint([model], read=False) == known
    model.write_bytes(b"other weights")
    assert fingerprint([model], read=False) == ""
    assert fingerprint([model]) == f"sha256:{sha256(b'other weights')}"


def test_all_files_of_a_folder_are_read_once(tmp_path: Path, data: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for name in "abc":
        (folder / name).write_text(name)
    known = fingerprint([folder])
    assert fingerprint([folder], read=False) == known
    assert list(json.loads((data / FILE).read_bytes())) == [
        os.fspath(folder / name) for name in "abc"
    ]


def test_a_link_to_a_file_is_that_file(model: Path, tmp_path: Path) -> None:
    fingerprint([model])
    (tmp_path / "link").symlink_to(model)
    assert fingerprint([tmp_path / "link"], read=False)


def test_what_somebody_else_has_worked_out_is_kept(model: Path) -> None:
    remember({model: "0" * 64})
    assert fingerprint([model]) == f"sha256:{'0' * 64}"


@pytest.mark.parametrize("odd", [b"", b"{", b"[]", b'{"a": 1}', b"\xff", b'{"a": ["b", "c", 5]}'])
def test_a_file_of_hashes_that_is_none_is_made_anew(model: Path, data: Path, odd: bytes) -> None:
    (data / FILE).write_bytes(odd)
    assert fingerprint([model]) == f"sha256:{sha256(b'weights')}"
    assert list(json.loads((data / FILE).read_bytes())) == [os.fspath(model)]
    assert [file.name for file in data.iterdir()] == [FILE]


def test_what_is_not_there_or_cannot_be_kept_is_no_error(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fingerprint([]) == fingerprint([tmp_path / "none"]) == ""
    monkeypatch.setenv("MTOR_DATA", os.fspath(tmp_path / "none"))
    assert fingerprint([model]) == f"sha256:{sha256(b'weights')}"
