"""What the picture as a whole may show: EfficientNet-Lite0, 1,000 names of ImageNet."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from dask_workers.sight.findings import Label
from dask_workers.sight.kinds import KINDS
from dask_workers.sight.networks import names, session

_SIDE = 224
_KEPT = 5
_LEAST = 0.05


class Labeller:
    """Names pictures. One serves several threads at once."""

    def __init__(self, threads: int = 1) -> None:
        self._network = session("labels.onnx", threads)
        self._names = names("labels.txt")

    def look(self, image: Image.Image) -> tuple[list[Label], list[Label]]:
        """Return the likeliest names of the middle of `image`, and the kinds that they are of."""
        square = ImageOps.fit(image, (_SIDE, _SIDE), Image.Resampling.BICUBIC)
        pixels = ((np.asarray(square, np.float32) - 127) / 128).transpose(2, 0, 1)[None]
        odds = softmax(self._network.run(None, {"pixels": pixels})[0][0])
        best = [Label(self._names[i], float(odds[i])) for i in odds.argsort()[::-1][:_KEPT]]
        kinds = [
            Label(kind, sum(float(odds[first : last + 1].sum()) for first, last in ranges))
            for kind, ranges in KINDS.items()
        ]
        kinds.sort(key=lambda kind: -kind.score)
        return [one for one in best if one.score >= _LEAST], [
            one for one in kinds if one.score >= _LEAST
        ]


def softmax(values: NDArray[np.float32], axis: int = 0) -> NDArray[np.float32]:
    """Return the odds that the outputs of a network stand for."""
    grown = np.exp(values - values.max(axis, keepdims=True))
    odds: NDArray[np.float32] = grown / grown.sum(axis, keepdims=True)
    return odds
