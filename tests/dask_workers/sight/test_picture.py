"""A picture is taken apart safely, and comes out upright, opaque and in colours."""

from __future__ import annotations

import contextlib
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from dask_workers.sight.picture import MAX_PIXELS, open_picture
from mtor_kernel.protocol.errors import BadInput, TooLarge
from tests.dask_workers.contract import png
from tests.pictures import card, encoded, photograph

RED, WHITE = (255, 0, 0), (255, 255, 255)


def first_pixel(content: bytes) -> tuple[int, int, int]:
    pixel = open_picture(content).image.getpixel((0, 0))
    assert isinstance(pixel, tuple)
    return pixel[0], pixel[1], pixel[2]


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_every_usual_form_is_read(form: str) -> None:
    picture = open_picture(encoded(Image.new("RGB", (30, 20), RED), form))
    assert picture.size == (30, 20)
    assert picture.image.mode == "RGB"
    red, green, blue = first_pixel(encoded(Image.new("RGB", (30, 20), RED), form))
    assert red > 240
    assert green < 15
    assert blue < 15


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16", "I", "F", "YCbCr"])
def test_every_mode_of_pixels_becomes_colours(mode: str) -> None:
    form = "TIFF" if mode in ("CMYK", "I", "F", "YCbCr") else "PNG"
    picture = open_picture(encoded(Image.new(mode, (30, 20)), form))
    assert (picture.image.mode, picture.image.size) == ("RGB", (30, 20))


def test_what_is_transparent_lies_on_white() -> None:
    assert first_pixel(encoded(Image.new("RGBA", (4, 4), (0, 0, 0, 0)))) == WHITE
    indexed = Image.new("P", (4, 4))
    indexed.putpalette([0, 0, 0])
    assert first_pixel(encoded(indexed, "GIF", transparency=0)) == WHITE


def test_greys_of_16_bits_keep_their_brightness() -> None:
    middle = Image.fromarray(np.full((4, 4), 32896, np.uint16))
    assert first_pixel(encoded(middle)) == (128, 128, 128)


def test_a_picture_taken_on_its_side_is_turned_upright() -> None:
    image = Image.new("RGB", (40, 20), WHITE)
    image.paste(RED, (0, 0, 10, 20))
    notes = Image.Exif()
    notes[0x0112] = 6  # turn it to the right to see it
    picture = open_picture(encoded(image, exif=notes.tobytes()))
    assert picture.size == (20, 40)
    assert picture.image.getpixel((10, 2)) == RED
    assert picture.image.getpixel((10, 30)) == WHITE


def test_of_an_animation_the_first_frame_is_taken_and_told() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, WHITE)]
    moving = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert open_picture(moving).animated
    assert first_pixel(moving)[1] < 15
    assert not open_picture(encoded(frames[0], "GIF")).animated


def test_a_large_picture_is_made_smaller_and_keeps_its_own_size_in_mind() -> None:
    picture = open_picture(encoded(Image.new("RGB", (5000, 2500), RED), "JPEG"))
    assert picture.size == (5000, 2500)
    assert max(picture.image.size) <= 2048
    assert picture.image.width * picture.scale == pytest.approx(5000)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    head = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + head + struct.pack(">I", zlib.crc32(b"IHDR" + head))
    small = png()
    bomb = small[:8] + chunk + small[33:]
    with pytest.raises(TooLarge, match=f"{MAX_PIXELS:,}"):
        open_picture(bomb)
    head = struct.pack(">IIBBBBB", 10_000, 6_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + head + struct.pack(">I", zlib.crc32(b"IHDR" + head))
    with pytest.raises(TooLarge, match="60,000,000 pixels"):
        open_picture(small[:8] + chunk + small[33:])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a picture at all",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.7\n",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
    ],
)
def test_what_is_no_picture_is_told_with_what_would_be(content: bytes) -> None:
    with pytest.raises(BadInput, match="PNG, JPEG"):
        open_picture(content)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP"])
def test_a_damaged_picture_is_the_users_to_send_again(form: str) -> None:
    whole = encoded(card(), form)
    with pytest.raises(BadInput, match="damaged or cut off"):
        open_picture(whole[: len(whole) // 2])
    with pytest.raises(BadInput):
        open_picture(whole[:20])


def test_a_photograph_with_garbled_bytes_does_no_harm() -> None:
    whole = photograph("cat")
    for place in range(20, len(whole), 997):
        garbled = bytearray(whole)
        garbled[place : place + 40] = b"\xff\xd8\x00\x13" * 10
        with contextlib.suppress(BadInput):
            assert open_picture(bytes(garbled)).image.mode == "RGB"
