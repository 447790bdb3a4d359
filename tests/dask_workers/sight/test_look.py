"""The networks find what is there: real weights, real photographs, a card that is drawn here."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dask_workers.sight.colours import look as colours_of
from dask_workers.sight.findings import Line
from dask_workers.sight.look import Sight
from dask_workers.sight.networks import SHA256, checked, missing, place
from dask_workers.sight.objects import distinct
from dask_workers.sight.picture import Picture, open_picture
from mtor_kernel.protocol.errors import Unavailable
from tests.pictures import CARD, card, encoded, photograph

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sight() -> Sight:
    return Sight()


def shown(name: str) -> Picture:
    return open_picture(photograph(name))


def lines(sight: Sight, image: Image.Image) -> list[Line]:
    found: Iterator[Line | None] = sight.read(open_picture(encoded(image)))
    return [line for line in found if line is not None]


def test_the_labeller_names_three_of_four_photographs(sight: Sight) -> None:
    right = {
        "cat": {"tabby", "tiger cat", "Egyptian cat"},
        "coffee": {"espresso", "cup", "coffee mug"},
        "camera": {"tripod", "reflex camera"},
        "astronaut": {"space shuttle"},  # it has no name for a person
    }
    first = {name: sight.glance(shown(name)).labels[0].label for name in right}
    assert sum(first[name] in names for name, names in right.items()) >= 3, first


def test_the_detector_finds_whom_and_what_it_knows(sight: Sight) -> None:
    for name, label in (("cat", "cat"), ("astronaut", "person"), ("camera", "person")):
        found = sight.glance(shown(name)).objects
        assert found[0].label == label
        assert [thing.label for thing in found if thing.score > 0.5].count(label) == 1
        left, top, right, bottom = found[0].box
        width, height = shown(name).size
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
        assert (right - left) * (bottom - top) > 0.3 * width * height


def test_a_box_is_told_in_the_pixels_of_the_original(sight: Sight) -> None:
    small = shown("cat")
    image = small.image.resize((small.size[0] * 8, small.size[1] * 8))
    found = sight.glance(open_picture(encoded(image, "JPEG"))).objects[0]
    again = sight.glance(small).objects[0]
    assert found.label == again.label
    assert np.allclose(np.array(found.box) / 8, again.box, atol=12)


def test_a_card_is_read(sight: Sight) -> None:
    read = lines(sight, card())
    assert tuple(line.text for line in read) == CARD
    assert all(line.score > 0.9 for line in read)
    for number, line in enumerate(read):
        left, top, right, bottom = line.box
        assert 20 < left < right < 640
        assert 20 + 80 * number < top < bottom < 120 + 80 * number


def test_small_and_large_and_turned_writing_is_read(sight: Sight) -> None:
    drawn = card()
    for image in (
        drawn.resize((320, 200), Image.Resampling.LANCZOS),
        drawn.resize((2560, 1600)),
        drawn.rotate(8, expand=True, fillcolor="white"),
        drawn.rotate(90, expand=True),
        drawn.rotate(180),
        Image.eval(drawn, lambda value: 255 - value),
    ):
        text = " ".join(line.text for line in lines(sight, image))
        assert "Ada Lovelace" in text
        assert "2027" in text


def test_where_nothing_is_written_nothing_is_read(sight: Sight) -> None:
    assert lines(sight, Image.new("RGB", (300, 200), "white")) == []
    assert [line for line in sight.read(shown("cat")) if line] == []


def test_very_odd_shapes_do_no_harm(sight: Sight) -> None:
    for size in ((1, 1), (1, 900), (3000, 2), (7, 5)):
        picture = open_picture(encoded(Image.new("RGB", size, "red")))
        assert sight.glance(picture).size == size
        assert [line for line in sight.read(picture) if line] == []


def test_every_network_is_checked_by_its_hash(tmp_path: Path) -> None:
    assert missing() == ""
    for name, sha256 in SHA256.items():
        assert hashlib.sha256(place(name).read_bytes()).hexdigest() == sha256
        assert checked(place(name)) == place(name)
    with pytest.raises(Unavailable, match=r"labels\.onnx cannot be read"):
        checked(tmp_path / "labels.onnx")
    (tmp_path / "labels.onnx").write_bytes(b"another network")
    with pytest.raises(Unavailable, match="SHA-256"):
        checked(tmp_path / "labels.onnx")


def test_of_boxes_of_one_thing_the_best_is_kept() -> None:
    boxes = np.array([[0, 0, 100, 100], [5, 5, 105, 105], [300, 0, 400, 100], [2, 0, 100, 100]])
    scores = np.array([0.6, 0.9, 0.5, 0.4], np.float32)
    same = np.array([1, 1, 1, 2])
    assert distinct(boxes, scores, same) == [1, 2]
    beside = np.array([[0, 0, 100, 100], [40, 0, 140, 100]])
    assert distinct(beside, np.array([0.9, 0.8], np.float32), np.array([1, 1])) == [0, 1]
    assert distinct(np.zeros((0, 4), int), np.zeros(0, np.float32), np.zeros(0, int)) == []


@pytest.mark.parametrize(
    ("colour", "name"),
    [
        ("red", "red"), ("#ffa500", "orange"), ("yellow", "yellow"), ("green", "green"),
        ("blue", "blue"), ("purple", "purple"), ("pink", "pink"), ("saddlebrown", "brown"),
        ("black", "black"), ("white", "white"), ("grey", "grey"), ("beige", "beige"),
        ("turquoise", "turquoise"), ("navy", "blue"), ("darkred", "red"), ("skyblue", "blue"),
    ],
)  # fmt: skip
def test_colours_have_the_names_that_people_give_them(colour: str, name: str) -> None:
    (found,) = colours_of(Image.new("RGB", (50, 50), colour))
    assert (found.name, found.share) == (name, 1.0)


def test_colours_are_told_by_their_share() -> None:
    image = Image.new("RGB", (100, 100), "blue")
    image.paste("white", (0, 0, 100, 25))
    found = colours_of(image)
    assert [(one.name, round(one.share, 2)) for one in found] == [("blue", 0.75), ("white", 0.25)]
    assert found[0].hex == "#0000ff"
