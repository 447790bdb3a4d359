"""Pictures and sounds beside a notebook."""

from hashlib import sha256
from pathlib import Path

import pytest

from mtor_kernel.client.replay.shelf import Shelf
from mtor_kernel.protocol.errors import ReplayDamaged, TooLarge


def blob(content: bytes) -> str:
    return sha256(content).hexdigest()


def test_what_is_kept_comes_back_under_the_hash_of_its_content(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "demo.mtor")
    assert shelf.fetch(blob(b"red")) is None
    shelf.keep(b"red", "image/png")
    shelf.keep(b"red", "image/png")
    assert shelf.fetch(blob(b"red")) == b"red"
    assert [file.name for file in shelf.folder.iterdir()] == [f"{blob(b'red')}.png"]
    assert shelf.fetch("../../etc/passwd") is None


def test_a_file_that_was_changed_is_named(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "demo.mtor")
    shelf.keep(b"red", "image/png")
    (shelf.folder / f"{blob(b'red')}.png").write_bytes(b"blue")
    with pytest.raises(ReplayDamaged, match=f"demo.mtor/{blob(b'red')}.png is not the file"):
        shelf.fetch(blob(b"red"))


def test_there_is_a_largest_file_and_a_largest_shelf(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "demo.mtor", medium=10, whole=15)
    with pytest.raises(TooLarge, match="at most"):
        shelf.keep(b"x" * 11, "image/png")
    shelf.keep(b"x" * 10, "image/png")
    with pytest.raises(TooLarge, match="With it there would be"):
        shelf.keep(b"y" * 10, "image/png")
    assert shelf.size == 10


def test_what_only_has_the_name_of_a_picture_is_none(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "demo.mtor", medium=10)
    shelf.folder.mkdir()
    (shelf.folder / blob(b"folder")).mkdir()
    (shelf.folder / blob(b"gone")).symlink_to(tmp_path / "nowhere")
    (shelf.folder / blob(b"device")).symlink_to("/dev/zero")
    for name in (b"folder", b"gone", b"device"):
        assert shelf.fetch(blob(name)) is None
    (shelf.folder / blob(b"x" * 11)).write_bytes(b"x" * 11)
    with pytest.raises(ReplayDamaged, match="is not the file"):
        shelf.fetch(blob(b"x" * 11))
