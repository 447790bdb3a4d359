"""Between pictures and what the network sees: each small square as a few figures, and back.

A linear code (principal components of 4×4 squares), so it has no network to train and costs
nothing. What is kept is scaled half-way to equal spread: coarse colours weigh more than edges.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dask_workers.emoji.varnish import varnish

Floats = NDArray[np.float32]

#: Pixels of a picture's side, and of the squares it is made of.
SIDE = 64
SQUARE = 4
#: Squares in a row.
CELLS = SIDE // SQUARE
#: Figures a square: at 20 what is lost cannot be seen (32 dB).
FIGURES = 20
_SMOOTH = Image.Resampling.BICUBIC


class Codec(NamedTuple):
    """A linear code of pictures; colours run from −1 to 1."""

    #: What is taken off every square before it is coded.
    mean: Floats
    #: One column a figure: from a square to its figures.
    forward: Floats
    #: One row a figure: from the figures to the square.
    backward: Floats

    @classmethod
    def fit(cls, pictures: Floats) -> Self:
        """Find the code that keeps most of these pictures: ``(n, 3, 64, 64)``."""
        squares = _squares(pictures).reshape(-1, 3 * SQUARE**2).astype(np.float64)
        mean = squares.mean(0)
        spread, axes = np.linalg.eigh(np.cov((squares - mean).T))
        spread, axes = np.sqrt(spread[::-1][:FIGURES]), axes[:, ::-1][:, :FIGURES]
        scale = np.sqrt(spread)
        scale *= np.sqrt(np.mean((spread / scale) ** 2))  # the mean square of all becomes 1
        parts = (mean, axes / scale, (axes * scale).T)
        return cls(*(np.ascontiguousarray(part, np.float32) for part in parts))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what :meth:`save` wrote."""
        from safetensors.numpy import load_file

        kept = load_file(path)
        return cls(kept["mean"], kept["forward"], kept["backward"])

    def save(self, path: Path) -> None:
        """Write it as safetensors."""
        from safetensors.numpy import save_file

        save_file(self._asdict(), path)

    def encode(self, pictures: Floats) -> Floats:
        """Return the figures of pictures: ``(n, 3, 64, 64)`` to ``(n, 20, 16, 16)``."""
        figures = (_squares(pictures) - self.mean) @ self.forward
        return figures.transpose(0, 3, 1, 2).astype(np.float32, copy=False)

    def decode(self, figures: Floats) -> Floats:
        """Return the pictures of figures."""
        squares = figures.transpose(0, 2, 3, 1) @ self.backward + self.mean
        parts = squares.reshape(-1, CELLS, CELLS, 3, SQUARE, SQUARE)
        pictures: Floats = parts.transpose(0, 3, 1, 4, 2, 5).reshape(-1, 3, SIDE, SIDE)
        return pictures.clip(-1, 1)

    def read(self, pictures: list[Image.Image]) -> Floats:
        """Return the figures of pictures of any size."""
        small = [one.convert("RGB").resize((SIDE, SIDE), _SMOOTH) for one in pictures]
        pixels = np.stack([np.asarray(one, np.float32) for one in small])
        return self.encode((pixels / 127.5 - 1).transpose(0, 3, 1, 2))

    def write(self, figures: Floats, width: int, height: int) -> list[Image.Image]:
        """Return the pictures of figures in another size, on white where that is no square."""
        pixels = ((varnish(self.decode(figures)) + 1) * 127.5).round().astype(np.uint8)
        return [_framed(Image.fromarray(p.transpose(1, 2, 0)), width, height) for p in pixels]


def _squares(pictures: Floats) -> Floats:
    """Return pictures cut up: ``(n, 3, 64, 64)`` to ``(n, 16, 16, 48)``."""
    parts = pictures.reshape(-1, 3, CELLS, SQUARE, CELLS, SQUARE)
    return parts.transpose(0, 2, 4, 1, 3, 5).reshape(-1, CELLS, CELLS, 3 * SQUARE**2)


def _framed(picture: Image.Image, width: int, height: int) -> Image.Image:
    side = min(width, height)
    large = picture.resize((side, side), _SMOOTH)
    if width == height:
        return large
    frame = Image.new("RGB", (width, height), "white")
    frame.paste(large, ((width - side) // 2, (height - side) // 2))
    return frame
