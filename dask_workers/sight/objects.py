"""What is where on a picture: NanoDet-G, the 80 kinds of things of COCO."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dask_workers.sight.findings import Thing
from dask_workers.sight.labels import softmax
from dask_workers.sight.networks import names, session
from dask_workers.sight.picture import Picture

_SIDE = 416
#: Blue, green, red: what the pixels of the training pictures were on average, and their spread.
_MEAN = np.array([103.53, 116.28, 123.675], np.float32)
_SPREAD = np.array([57.375, 57.12, 58.395], np.float32)
_CLASSES = 80
#: Each distance from a cell's middle to a side of the box comes as odds of 0 to 10 cells.
_DISTANCES = 11
_LEAST = 0.3
_MOST = 50
#: Two boxes of one class that share more of their area are one thing; and of any two classes.
_SAME = 0.5
_SAME_OF_ANY = 0.8

_Floats = NDArray[np.float32]


class Detector:
    """Finds things. One serves several threads at once."""

    def __init__(self, threads: int = 1) -> None:
        self._network = session("objects.onnx", threads)
        self._names = names("objects.txt")

    def look(self, picture: Picture) -> list[Thing]:
        """Return what was found on `picture`, best first, each thing once."""
        pixels, factor, left, top = _fitted(picture.image)
        grids = self._network.run(None, {"pixels": pixels})
        scores, classes, boxes = (
            np.concatenate(column) for column in zip(*map(_decoded, grids), strict=True)
        )
        boxes = (boxes - [left, top, left, top]) / factor * picture.scale
        width, height = picture.size
        boxes = np.clip(np.rint(boxes), 0, [width, height, width, height]).astype(int)
        return [
            Thing(self._names[classes[i]], float(scores[i]), tuple(boxes[i].tolist()))
            for i in distinct(boxes, scores, classes)
        ]


def _fitted(image: Image.Image) -> tuple[_Floats, float, int, int]:
    """Return `image` in the middle of a black square, the factor of its size, and its place."""
    factor = _SIDE / max(image.size)
    width, height = (max(1, round(side * factor)) for side in image.size)
    left, top = (_SIDE - width) // 2, (_SIDE - height) // 2
    square = Image.new("RGB", (_SIDE, _SIDE))
    square.paste(image.resize((width, height), Image.Resampling.BILINEAR), (left, top))
    pixels = (np.asarray(square, np.float32)[:, :, ::-1] - _MEAN) / _SPREAD
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None]), factor, left, top


def _decoded(grid: _Floats) -> tuple[_Floats, NDArray[np.int64], _Floats]:
    """Return scores, classes and boxes, in pixels of the square, of one of the three grids."""
    cells = grid[0]
    side = cells.shape[1]
    pixels = _SIDE / side
    scores = 1 / (1 + np.exp(-cells[:_CLASSES]))
    odds = softmax(cells[_CLASSES:].reshape(4, _DISTANCES, side, side), 1)
    reach = (odds * np.arange(_DISTANCES)[:, None, None]).sum(1) * pixels
    kind, row, column = np.nonzero(scores > _LEAST)
    middle = (np.stack([column, row, column, row], 1) + 0.5) * pixels
    boxes = middle + reach[:, row, column].T * [-1, -1, 1, 1]
    return scores[kind, row, column], kind, boxes.astype(np.float32)


def distinct(boxes: NDArray[np.int64], scores: _Floats, classes: NDArray[np.int64]) -> list[int]:
    """Return which of the boxes to keep, best first: of those of one thing, the best."""
    kept: list[int] = []
    for i in scores.argsort()[::-1].tolist():
        if len(kept) == _MOST:
            break
        if boxes[i][2] <= boxes[i][0] or boxes[i][3] <= boxes[i][1]:
            continue
        shared = _shared(boxes[i], boxes[kept])
        limit = np.where(classes[kept] == classes[i], _SAME, _SAME_OF_ANY)
        if not (shared > limit).any():
            kept.append(i)
    return kept


def _shared(box: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the common area of a box and each of `others`, as a part of what they cover."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    common = np.clip(high - low, 0, None).prod(1)
    area, areas = (box[2:] - box[:2]).prod(), (others[:, 2:] - others[:, :2]).prod(1)
    part: NDArray[np.float64] = common / (area + areas - common)
    return part
