"""What a prompt's picture will roughly look like: 16×16 colours, from its words alone.

A few layers that were taught the pictures by heart. Noise says nothing about where a rocket's tip
belongs, so the network would have to learn that from its words at every level of noise; given this
sketch it only has to draw.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from dask_workers.emoji.codec import CELLS, Floats

#: Colours of a cell.
COLOURS = 3


class Sketch:
    """From the vector of a prompt to its sketch; colours run from −1 to 1."""

    def __init__(self, layers: Mapping[str, Floats]) -> None:
        self._layers = {name: layer.astype(np.float32) for name, layer in layers.items()}

    @classmethod
    def load(cls, path: Path) -> Sketch:
        """Read what :meth:`save` wrote."""
        from safetensors.numpy import load_file

        return cls(load_file(path))

    def save(self, path: Path) -> None:
        """Write it as safetensors, in half precision."""
        from safetensors.numpy import save_file

        save_file({name: part.astype(np.float16) for name, part in self._layers.items()}, path)

    def __call__(self, whole: Floats) -> Floats:
        """Return ``(n, 3, 16, 16)`` for vectors as :func:`~.reader.told` gives them.

        Of the vector that says nothing the sketch says nothing: zeros.
        """
        state, count = whole, len(self._layers) // 2
        for number in range(count):
            state = state @ self._layers[f"{number}.weight"].T + self._layers[f"{number}.bias"]
            if number < count - 1:
                state = state / (1 + np.exp(-state))
        state = state * whole.any(-1, keepdims=True)
        drawn: Floats = state.clip(-1, 1).reshape(-1, COLOURS, CELLS, CELLS).astype(np.float32)
        return drawn
