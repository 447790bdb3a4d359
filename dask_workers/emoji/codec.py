"""Between pictures and what the network sees: each small square as a few figures, and back.

A linear code (principal components of 4×4 squares), so it has no network to train and costs
nothing. What is kept is scaled half-way to equal spread: coarse colours weigh more than edges.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Self

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import pixel_shuffle, pixel_unshuffle


class Codec(NamedTuple):
    """A linear code of pictures; colours run from −1 to 1."""

    #: Pixels of a square's side.
    side: int
    #: What is taken off every square before it is coded.
    mean: Tensor
    #: One row a figure: from a square to its figures.
    forward: Tensor
    #: One column a figure: from the figures to the square.
    backward: Tensor

    @classmethod
    def fit(cls, pictures: Tensor, side: int, figures: int) -> Self:
        """Find the code that keeps most of these pictures in so many figures a square."""
        squares = pixel_unshuffle(pictures, side).movedim(1, -1).flatten(0, 2).double()
        mean = squares.mean(0)
        spread, axes = torch.linalg.eigh(torch.cov((squares - mean).T))
        spread, axes = spread.flip(0)[:figures].sqrt(), axes.flip(1)[:, :figures]
        scale = spread.sqrt()
        scale = scale * (spread / scale).square().mean().sqrt()  # the mean square of all becomes 1
        return cls(side, mean.float(), (axes / scale).T.float(), (axes * scale).float())

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what :meth:`save` wrote."""
        kept = load_file(path)
        side = int((len(kept["mean"]) // 3) ** 0.5)
        return cls(side, kept["mean"], kept["forward"], kept["backward"])

    def save(self, path: Path) -> None:
        """Write it as safetensors."""
        parts = {"mean": self.mean, "forward": self.forward, "backward": self.backward}
        save_file({name: part.contiguous() for name, part in parts.items()}, path)

    def encode(self, pictures: Tensor) -> Tensor:
        """Return the figures of pictures: ``(n, 3, h, w)`` to ``(n, figures, h/side, w/side)``."""
        squares = pixel_unshuffle(pictures, self.side).movedim(1, -1) - self.mean
        return (squares @ self.forward.T).movedim(-1, 1)

    def decode(self, figures: Tensor) -> Tensor:
        """Return the pictures of figures, from −1 to 1."""
        code, mean = self.backward.to(figures), self.mean.to(figures)
        squares = figures.movedim(1, -1) @ code.T + mean
        return pixel_shuffle(squares.movedim(-1, 1), self.side).clamp(-1, 1)
