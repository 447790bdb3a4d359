"""Pictures and sounds as people have them in a notebook, made into bytes that can be sent.

A path, bytes, a Pillow image, a NumPy array, a Matplotlib figure: nothing is imported for any of
them; what is not loaded is not here.
"""

from __future__ import annotations

import io
import operator
import struct
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import msgspec

from mtor_kernel.client.received import Received
from mtor_kernel.protocol.errors import BadInput, TooLarge
from mtor_kernel.protocol.media import Wav, mime_of
from mtor_kernel.protocol.query import Audio, Image

#: The largest picture, and the largest sound, in bytes.
MAX_PICTURE_BYTES = 10_000_000
MAX_SOUND_BYTES = 64 * 1024 * 1024

#: A picture, or a sound.
Kind = Literal["image", "audio"]

_WANTED = {
    "image": "a picture: a PNG, JPEG, GIF or WebP file, its bytes, a Pillow image, a figure, "
    "or an array of rows, columns and colours",
    "audio": "a sound: a WAV, MP3, Ogg, FLAC, MP4 or WebM file, its bytes, "
    "or a pair of samples and their rate",
    None: "a picture or a sound",
}


class Media(msgspec.Struct, frozen=True):
    """A picture or a sound, ready to be sent."""

    content: bytes
    mime: str

    @property
    def kind(self) -> str:
        """``image`` or ``audio``."""
        return self.mime.partition("/")[0]

    def part(self, blob: str) -> Image | Audio:
        """Return the part of a query that names it, kept as `blob`."""
        return Image(blob, self.mime) if self.kind == "image" else Audio(blob, self.mime)


def as_media(value: Any, kind: Kind | None = None) -> Media:
    """Return `value` as a picture or a sound.

    Parameters
    ----------
    value
        A path (or its text), bytes, a Pillow image, a Matplotlib figure or axes, an array of
        pixels, ``(samples, rate)``, or whatever IPython can show as a PNG.
    kind
        What it must be.

    Raises
    ------
    BadInput
        It is none, or there is no such file; says what to give instead.
    TooLarge
        It is too large to be sent.
    """
    media = value if isinstance(value, Media) else _made(value, kind)
    if kind is not None and media.kind != kind:
        raise BadInput(f"That is {media.mime}, and not {_WANTED[kind]}.")
    most = MAX_PICTURE_BYTES if media.kind == "image" else MAX_SOUND_BYTES
    _check_size(len(media.content), most, "picture" if media.kind == "image" else "sound")
    return media


def is_picture(value: Any) -> bool:
    """Tell whether a variable is certainly meant as a picture, also in the midst of words.

    Texts and paths are not, nor is an array that could as well be a table of numbers.
    """
    if isinstance(value, bytes | bytearray):
        return mime_of(bytes(value[:16])).startswith("image/")
    shape = _shape(value)
    if shape is not None and len(shape) == 3:
        return value.dtype == "uint8" and _is_pixels(value)
    kinds = {f"{kind.__module__.partition('.')[0]}.{kind.__name__}" for kind in type(value).__mro__}
    return (
        (isinstance(value, Media) and value.kind == "image")
        or bool(kinds & {"PIL.Image", "IPython.Image", "mtor_kernel.Picture"})
        or (not isinstance(value, type) and callable(getattr(value, "savefig", None)))
        or _figure(value) is not None
    )


def _made(value: Any, kind: Kind | None) -> Media:
    if isinstance(value, str | Path):
        return _of_file(Path(value).expanduser(), kind)
    if isinstance(value, bytes | bytearray | memoryview):
        return _of_bytes(bytes(value), kind, "These bytes are")
    if isinstance(value, tuple) and (found := _samples(value)) is not None:
        return Media(_wav(*found), "audio/wav")
    if isinstance(value, Received):
        return _of_bytes(value.content, kind, f"This {type(value).__name__} is")
    if (drawn := _drawn(value)) is not None:
        return _of_bytes(drawn, kind, f"This {type(value).__name__} is")
    if _is_pixels(value):
        return Media(_png(value), "image/png")
    if kind != "image" and _shape(value) is not None and len(_shape(value) or ()) == 1:
        raise BadInput("An array of samples needs its rate: give the pair (samples, rate).")
    name = type(value).__name__
    raise BadInput(f"{'An' if name[0] in 'aeiouAEIO' else 'A'} {name} is not {_WANTED[kind]}.")


def _of_file(path: Path, kind: Kind | None) -> Media:
    try:
        if path.is_dir():
            raise BadInput(f"{path} is a folder: name a file in it.")
        _check_size(path.stat().st_size, MAX_SOUND_BYTES, "file")
        with path.open("rb") as file:
            start = file.read(16)
            _check_start(start, kind, f"{path} is")
            return Media(start + file.read(MAX_SOUND_BYTES), mime_of(start))
    except FileNotFoundError:
        raise BadInput(f"There is no file {path}: the folder here is {Path.cwd()}.") from None
    except (OSError, ValueError) as error:
        raise BadInput(f"The file {str(path)!r} cannot be read: {error}.") from None


def _of_bytes(content: bytes, kind: Kind | None, what: str) -> Media:
    _check_start(content[:16], kind, what)
    return Media(content, mime_of(content))


def _check_start(start: bytes, kind: Kind | None, what: str) -> None:
    if not start:
        raise BadInput(f"{what} empty. Give {_WANTED[kind]}.")
    if not mime_of(start):
        others = "" if kind == "audio" else " Pillow opens and converts other pictures."
        raise BadInput(f"{what} not {_WANTED[kind]}.{others}")


def _check_size(size: int, most: int, what: str) -> None:
    if size > most:
        raise TooLarge(
            f"The {what} has {size:,} bytes; at most {most:,} are sent. Make it smaller.",
            limit=most,
            used=size,
        )


# Things that draw themselves.

#: By these IPython asks an object for its picture.
_DRAWERS = ("_repr_png_", "_repr_jpeg_")


def _figure(value: Any) -> Any:
    """Return the figure of a Matplotlib axes."""
    figure = getattr(value, "figure", None)
    return figure if callable(getattr(figure, "savefig", None)) else None


def _drawn(value: Any) -> bytes | None:
    """Return the picture that an object makes of itself; ``None`` where it makes none."""
    if isinstance(value, type):
        return None
    data = getattr(value, "data", None)  # what IPython.display has made
    if isinstance(data, bytes) and mime_of(data):
        return data
    figure = value if callable(getattr(value, "savefig", None)) else _figure(value)
    try:
        if figure is not None:
            file = io.BytesIO()
            figure.savefig(file, format="png")
            return file.getvalue()
        for name in _DRAWERS:
            content = getattr(value, name, lambda: None)()
            content = content[0] if isinstance(content, tuple) else content
            if isinstance(content, bytes):
                return content
    except Exception as error:  # whatever an object's own drawing raises
        kind = type(value).__name__
        raise BadInput(f"This {kind} cannot be drawn: {type(error).__name__}: {error}.") from error
    return None


# Arrays.


def _shape(value: Any) -> tuple[int, ...] | None:
    """Return the shape of what is an array of numbers; ``None`` for anything else."""
    shape, kind = getattr(value, "shape", None), getattr(getattr(value, "dtype", None), "kind", "")
    if isinstance(shape, tuple) and kind in ("b", "u", "i", "f") and hasattr(value, "tobytes"):
        return shape
    return None


def _is_pixels(value: Any) -> bool:
    match _shape(value):
        case (height, width) | (height, width, 1 | 3 | 4):
            return 0 < height < 2**16 and 0 < width < 2**16
    return False


def _png(pixels: Any) -> bytes:
    """Return an array of pixels as a PNG; numbers with a point go from 0 to 1, others to 255."""
    height, width, *rest = pixels.shape
    depth = rest[0] if rest else 1
    if pixels.dtype.kind in ("f", "b"):
        pixels = pixels.clip(0, 1) * 255 if pixels.dtype.kind == "f" else pixels * 255
    content = pixels.clip(0, 255).astype("uint8").tobytes()
    line = width * depth
    lines = b"".join(b"\0" + content[at : at + line] for at in range(0, len(content), line))
    head = struct.pack(">IIBBBBB", width, height, 8, {1: 0, 3: 2, 4: 6}[depth], 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(lines)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def _samples(pair: tuple[Any, ...]) -> tuple[Any, int] | None:
    """Return samples and rate of a pair of both, in either order; ``None`` where it is none."""
    for samples, rate in ((pair[0], pair[-1]), (pair[-1], pair[0])):
        shape = _shape(samples)
        if shape is not None and 1 <= len(shape) <= 2 and not _shape(rate):
            with suppress(TypeError):
                return samples, operator.index(rate)
    return None


def _wav(samples: Any, rate: int) -> bytes:
    """Return samples as a mono WAV of 16 bits; numbers with a point go from -1 to 1."""
    if not 1_000 <= rate <= 384_000:
        raise BadInput(f"A rate of {rate} samples a second cannot be: it is 16000 or the like.")
    if len(samples.shape) == 2:
        samples = samples.mean(axis=1 if samples.shape[0] > samples.shape[1] else 0)
    if samples.dtype.kind == "f" and abs(samples).max(initial=0) <= 1:
        samples = samples * 32767
    frames: bytes = samples.clip(-32768, 32767).astype("<i2").tobytes()
    return Wav(1, 2, rate, frames).head(len(frames)) + frames
