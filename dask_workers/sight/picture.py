"""Take a picture apart safely: whoever sent it may mean harm."""

from __future__ import annotations

import io
import struct
from typing import NamedTuple

from PIL import Image, ImageOps, UnidentifiedImageError

from mtor_kernel.protocol.errors import BadInput, TooLarge

#: A small file can hold a picture that fills the memory: this is looked at before it is unpacked.
MAX_PIXELS = 50_000_000
#: What is looked at: more pixels cost time and tell these networks nothing.
_MAX_SIDE = 2048
#: Modes of pixels that can be averaged as they are.
_SHRINKABLE = frozenset({"L", "LA", "RGB", "RGBA", "CMYK"})
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
_FORMATS_TOLD = "PNG, JPEG, WebP, GIF, BMP or TIFF"
#: What Pillow raises for a file that is not what it says.
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, struct.error)


class Picture(NamedTuple):
    """A picture, upright, in red, green and blue, on white where it was transparent."""

    image: Image.Image
    #: Width and height of the original, upright.
    size: tuple[int, int]
    #: Pixels of the original for one of `image`.
    scale: float
    animated: bool


def open_picture(content: bytes) -> Picture:
    """Return the picture that `content` holds; of an animated one, the first.

    Raises
    ------
    BadInput
        It is no picture, is damaged, or is of a kind that is not read.
    TooLarge
        It has more than :data:`MAX_PIXELS` pixels.
    """
    try:
        return _open(content)
    except Image.DecompressionBombError:
        raise _too_large() from None
    except UnidentifiedImageError:
        raise BadInput(f"This is no picture that can be read: send {_FORMATS_TOLD}.") from None
    except _BROKEN:
        raise BadInput("The picture is damaged or cut off: send it again.") from None


def _open(content: bytes) -> Picture:
    with Image.open(io.BytesIO(content), formats=_FORMATS) as opened:
        pixels = opened.width * opened.height
        if pixels > MAX_PIXELS:
            raise _too_large(pixels)
        animated = bool(getattr(opened, "is_animated", False)) and opened.format != "MPO"
        stored = opened.size
        opened.draft("RGB", (_MAX_SIDE, _MAX_SIDE))  # a large JPEG is unpacked smaller
        unpacked = opened.size
        ImageOps.exif_transpose(opened, in_place=True)  # a copy of a large one costs memory
        turned = opened.size != unpacked
        if opened.mode in _SHRINKABLE:
            opened.thumbnail((_MAX_SIDE, _MAX_SIDE), Image.Resampling.LANCZOS)
        image = _in_colours(opened)
    size = (stored[1], stored[0]) if turned else stored
    image.thumbnail((_MAX_SIDE, _MAX_SIDE), Image.Resampling.LANCZOS)
    return Picture(image, size, size[0] / image.width, animated)


def _in_colours(image: Image.Image) -> Image.Image:
    """Return `image` in red, green and blue, whatever it was in."""
    if image.mode.startswith("I;16"):
        image = image.convert("I").point(lambda value: value / 256).convert("L")
    elif image.mode in ("I", "F"):
        image = _stretched(image)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _stretched(image: Image.Image) -> Image.Image:
    """Return an image of whole or broken numbers as greys between its least and its greatest."""
    least, most = (float(end) for end in image.convert("F").getextrema())  # type: ignore[arg-type]  # one band: two numbers
    if not most > least:
        return Image.new("L", image.size, 128)
    factor = 255 / (most - least)
    return image.convert("F").point(lambda value: value * factor - least * factor).convert("L")


def _too_large(pixels: int = 0) -> TooLarge:
    has = f"{pixels:,} pixels" if pixels else "too many pixels"
    said = f"The picture has {has} and at most {MAX_PIXELS:,} are read: make it smaller."
    return TooLarge(said, limit=MAX_PIXELS)
