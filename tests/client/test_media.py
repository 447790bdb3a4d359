"""What a person has in a notebook becomes a picture or a sound, or a sentence says why not."""

from __future__ import annotations

import io
import subprocess
import sys
import wave
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from mtor_kernel.client.media import (
    MAX_PICTURE_BYTES,
    Media,
    as_media,
    is_picture,
)
from mtor_kernel.protocol.errors import BadInput, TooLarge
from mtor_kernel.protocol.media import Wav, joined, mime_of
from mtor_kernel.protocol.query import Audio, Image
from tests.modalities import picture, seconds_of, sound


def opened(media: Media) -> Pillow.Image:
    return Pillow.open(io.BytesIO(media.content))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
def test_a_picture_is_known_by_its_bytes_whatever_its_name(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "no-suffix"
    path.write_bytes(picture(kind))
    for given in (path, str(path), picture(kind), bytearray(picture(kind))):
        media = as_media(given, "image")
        assert (media.content, media.mime) == (picture(kind), f"image/{kind.lower()}")
        assert isinstance(media.part("0" * 64), Image)


def test_a_sound_is_known_by_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    path.write_bytes(sound())
    assert as_media(path, "audio") == Media(sound(), "audio/wav")
    assert isinstance(as_media(path).part("0" * 64), Audio)
    for start, mime in ((b"OggS", "ogg"), (b"fLaC", "flac"), (b"ID3\3", "mpeg")):
        assert as_media(start + b"\0" * 20).mime == f"audio/{mime}"
    assert mime_of(b"\0\0\0\x20ftypM4A ....") == "audio/mp4"


def test_a_pillow_image_and_a_figure_draw_themselves() -> None:
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots()
    axes.plot([1, 2, 3])
    for drawn in (figure, axes):
        assert opened(as_media(drawn, "image")).width > 100
        assert is_picture(drawn)
    pyplot.close(figure)
    pillow = Pillow.new("RGB", (5, 7), "blue")
    assert opened(as_media(pillow, "image")).size == (5, 7)
    assert is_picture(np.zeros((4, 6, 3), np.uint8))
    assert is_picture(picture())
    assert is_picture(as_media(picture()))
    assert is_picture(pillow)


def test_what_ipython_shows_as_a_picture_or_plays_is_taken_too() -> None:
    from IPython.display import Audio as Player
    from IPython.display import Image as Shown

    assert as_media(Shown(picture()), "image").content == picture()
    assert as_media(Player(sound()), "audio").content == sound()


@pytest.mark.parametrize(
    ("pixels", "colour"),
    [
        (np.full((4, 6, 3), (255, 0, 0), np.uint8), (255, 0, 0)),
        (np.full((4, 6, 3), (1.0, 0.0, 0.0)), (255, 0, 0)),
        (np.full((4, 6, 4), (1.0, 0.0, 0.0, 1.0)), (255, 0, 0)),
        (np.full((4, 6), 0.5), (127, 127, 127)),
        (np.full((4, 6, 1), 300), (255, 255, 255)),
        (np.ones((4, 6), bool), (255, 255, 255)),
    ],
)
def test_an_array_of_pixels_is_a_picture(pixels: Any, colour: tuple[int, int, int]) -> None:
    image = opened(as_media(pixels, "image"))
    assert image.size == (6, 4)
    assert image.convert("RGB").getpixel((2, 2)) == colour


def test_a_pair_of_samples_and_their_rate_is_a_sound() -> None:
    tone = np.sin(np.arange(8000))
    for pair in (
        (tone, 8000),
        (8000, tone),
        (tone, np.int64(8000)),
        (np.stack([tone, tone]), 8000),
    ):
        media = as_media(pair, "audio")
        assert seconds_of(media.content) == 1
        with wave.open(io.BytesIO(media.content)) as file:
            heard = np.frombuffer(file.readframes(8000), "<i2")
        assert np.allclose(heard / 32767, tone, atol=1e-4)
    whole = as_media((np.array([0, 30000, -30000], np.int16), 16000)).content
    assert whole.endswith(np.array([0, 30000, -30000], "<i2").tobytes())


@pytest.mark.parametrize(
    ("given", "kind", "says"),
    [
        ("no-such.png", "image", "no file no-such.png"),
        (".", "image", "is a folder"),
        (b"", "image", "empty"),
        (b"hello", "image", "not a picture"),
        (sound(), "image", "audio/wav, and not a picture"),
        (picture(), "audio", "image/png, and not a sound"),
        (b"no sound at all", "audio", "their rate.$"),
        (np.zeros(10), "audio", r"\(samples, rate\)"),
        (np.zeros(10), "image", "ndarray is not a picture"),
        ((np.zeros(10), 3), "audio", "rate of 3"),
        (5, None, "int is not a picture or a sound"),
        (None, "image", "NoneType is not a picture"),
        ("\0", "image", "cannot be read"),
        ("x" * 5000, "image", "cannot be read"),
        (type, None, "type is not"),
    ],
)
def test_anything_else_is_refused_in_a_sentence(given: Any, kind: Any, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        as_media(given, kind)


def test_a_file_that_is_no_picture_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("hello")
    with pytest.raises(BadInput, match="Pillow opens and converts"):
        as_media(path, "image")
    empty = tmp_path / "empty.png"
    empty.touch()
    with pytest.raises(BadInput, match="empty"):
        as_media(empty, "image")


def test_a_picture_that_is_too_large_says_how_large_it_may_be() -> None:
    with pytest.raises(TooLarge, match="10,000,000"):
        as_media(picture() + b"\0" * MAX_PICTURE_BYTES, "image")


def test_a_figure_that_cannot_be_drawn_says_so() -> None:
    class Broken:
        def savefig(self, file: Any, format: str) -> None:
            raise RuntimeError("no backend")

    with pytest.raises(BadInput, match="Broken cannot be drawn: RuntimeError"):
        as_media(Broken(), "image")


@pytest.mark.parametrize(
    "value",
    ["photo.png", 5, None, [1, 2], np.zeros((4, 4)), np.zeros((4, 4, 3)), b"text", int, sound()],
)
def test_what_may_be_meant_as_words_is_no_picture(value: Any) -> None:
    assert not is_picture(value)


def test_sentences_are_joined_into_one_sound() -> None:
    assert seconds_of(joined([sound(1), sound(0.5), sound(0.25)])) == pytest.approx(1.75)
    assert joined([b"one that is no WAV"]) == b"one that is no WAV"
    with pytest.raises(BadInput, match="no WAV"):
        joined([sound(), b"not a WAV"])
    with pytest.raises(BadInput, match="rates or channels differ"):
        joined([sound(), sound(1, 16_000)])


def test_a_wav_whose_length_is_not_known_yet_can_be_opened() -> None:
    taken = Wav.of(sound())
    assert taken.seconds == 1
    endless = taken.head() + taken.frames
    assert mime_of(endless) == "audio/wav"
    assert Wav.of(endless).frames == taken.frames
    assert Wav.of(taken.head(len(taken.frames)) + taken.frames) == taken


@pytest.mark.parametrize("cut", [0, 4, 11, 20, 30, 43, 44])
def test_a_wav_that_breaks_off_is_refused_or_shorter(cut: int) -> None:
    with suppress(BadInput):
        assert Wav.of(sound()[:cut]).seconds < 1


def test_neither_numpy_nor_pillow_is_loaded_for_bytes() -> None:
    code = (
        "import sys; from mtor_kernel.client.media import as_media; as_media(b'GIF89a' + bytes(9));"
        "print({'numpy', 'PIL', 'matplotlib', 'tornado'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
