"""Only pictures and sounds below the folders that the person named may be read."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

from mtor_kernel.agents.files import Roots
from mtor_kernel.client.media import MAX_PICTURE_BYTES, MAX_SOUND_BYTES
from mtor_kernel.protocol.errors import BadInput, RealmError, TooLarge
from tests.modalities import picture as png
from tests.modalities import sound as wav


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "shared"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "heart.png").write_bytes(png())
    (folder / "talk.wav").write_bytes(wav())
    (tmp_path / "outside.png").write_bytes(png())
    return folder


def test_a_file_below_a_root_is_read_by_either_name(folder: Path) -> None:
    roots = Roots([folder])
    assert roots.media("deep/heart.png", "image").content == png()
    assert roots.media(os.fspath(folder / "talk.wav"), "audio").mime == "audio/wav"


def test_a_root_may_itself_be_reached_by_a_link(folder: Path) -> None:
    link = folder.parent / "link"
    link.symlink_to(folder)
    assert Roots([link]).media(os.fspath(link / "talk.wav"), "audio").mime == "audio/wav"


def test_bytes_need_no_root() -> None:
    given = "data:image/png;base64," + base64.b64encode(png()).decode()
    assert Roots().media(given, "image").content == png()


@pytest.mark.parametrize("how", ["absolute", "dots", "link", "linked folder"])
def test_nothing_outside_is_read_however_it_is_named(folder: Path, how: str) -> None:
    outside = folder.parent / "outside.png"
    (folder / "link.png").symlink_to(outside)
    (folder / "up").symlink_to(folder.parent)
    names = {
        "absolute": os.fspath(outside),
        "dots": "deep/../../outside.png",
        "link": "link.png",
        "linked folder": "up/outside.png",
    }
    with pytest.raises(BadInput, match="There is no file") as there:
        Roots([folder]).media(names[how], "image")
    with pytest.raises(BadInput) as nowhere:
        Roots([folder]).media("../nothing.png", "image")
    # What lies outside and what does not exist are told in the same words.
    same = there.value.message.replace(names[how], "")
    assert same == nowhere.value.message.replace("../nothing.png", "")


@pytest.mark.parametrize(
    "name", ["", ".", "deep", "nothing.png", "\0.png", ".hidden/heart.png", ".heart.png", "pipe"]
)
def test_what_is_no_file_to_be_read_is_refused(folder: Path, name: str) -> None:
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "heart.png").write_bytes(png())
    (folder / ".heart.png").write_bytes(png())
    os.mkfifo(folder / "pipe")
    with pytest.raises(BadInput, match="There is no file"):
        Roots([folder]).media(name, "image")


@pytest.mark.parametrize(
    ("content", "says"), [(b"password = 1234", "not a picture"), (b"", "empty"), (wav(), "audio")]
)
def test_only_what_is_asked_for_is_read(folder: Path, content: bytes, says: str) -> None:
    (folder / "notes.png").write_bytes(content)
    with pytest.raises(BadInput, match=says) as caught:
        Roots([folder]).media("notes.png", "image")
    assert "1234" not in caught.value.message


def test_too_large_a_file_is_not_read(folder: Path) -> None:
    with (folder / "long.wav").open("wb") as file:
        file.truncate(MAX_SOUND_BYTES + 1)
    with pytest.raises(TooLarge, match="at most"):
        Roots([folder]).media("long.wav", "audio")


def test_too_large_a_picture_is_not_sent_however_it_is_given(folder: Path) -> None:
    content = png() + bytes(MAX_PICTURE_BYTES)
    (folder / "large.png").write_bytes(content)
    for given in ("large.png", "data:image/png;base64," + base64.b64encode(content).decode()):
        with pytest.raises(TooLarge, match="at most"):
            Roots([folder]).media(given, "image")


@pytest.mark.parametrize("name", ["nowhere", "shared/talk.wav"])
def test_a_root_that_is_no_folder_is_told_at_the_start(folder: Path, name: str) -> None:
    with pytest.raises(RealmError, match="root"):
        Roots([folder.parent / name])
