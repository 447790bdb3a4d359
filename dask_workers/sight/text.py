"""What is written on a picture: PP-OCRv6 small, as the package rapidocr carries it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from dask_workers.sight.findings import Box, Line
from dask_workers.sight.networks import checked, place
from dask_workers.sight.picture import Picture

#: Pixels in which lines are sought: more take longer than a cancel may wait; fewer are made more.
_MOST_PIXELS = 1_000_000
_FEWEST_PIXELS = 300_000
_MOST_LINES = 200
#: A picture that is narrower has room for no letter.
_NARROWEST = 8
_LEAST = 0.65
#: A strip that is so much higher than wide is a line that runs downwards.
_UPRIGHT = 1.5
_MODELS = {
    "Det.model_path": "PP-OCRv6_det_small.onnx",
    "Rec.model_path": "PP-OCRv6_rec_small.onnx",
    "Cls.model_path": "ch_ppocr_mobile_v2.0_cls_mobile.onnx",
}


class Reader:
    """Reads. One serves several threads at once.

    The library's own pipeline would find and read all lines in one call; here each line is a step
    of its own, so that the first is told early and a cancel need not wait for the last.
    """

    def __init__(self, threads: int = 1) -> None:
        settings: dict[str, Any] = {
            # Named, so that the library never looks for them on the network.
            **{key: str(checked(place(name))) for key, name in _MODELS.items()},
            "EngineConfig.onnxruntime.intra_op_num_threads": threads,
            "Global.log_level": "error",
            "Det.limit_type": "max",
            "Det.limit_side_len": 4096,  # the size is chosen here
        }
        from rapidocr import RapidOCR

        self._find: Any = RapidOCR(
            params=settings | {"Global.use_cls": False, "Global.use_rec": False}
        )
        self._read: Any = RapidOCR(params=settings | {"Global.use_det": False})
        nothing = Image.new("RGB", (64, 64), "white")
        self._find(_blue_first(nothing))  # the library loads its networks at first use
        self._read(_blue_first(nothing))

    def look(self, picture: Picture) -> Iterator[Line | None]:
        """Yield each line, in the order of reading; ``None`` for a strip on which none is."""
        image = picture.image
        if min(image.size) < _NARROWEST:
            return
        factor = _factor(image.width * image.height)
        size = [max(_NARROWEST, round(side * factor)) for side in image.size]
        found = self._find(_blue_first(image.resize(size, Image.Resampling.BICUBIC)))
        if found.boxes is None:
            return
        for corners in found.boxes[:_MOST_LINES].astype(float) / factor:
            yield self._line(image, corners, picture.scale)

    def _line(self, image: Image.Image, corners: Any, scale: float) -> Line | None:
        read = self._read(_blue_first(_strip(image, corners)))
        if not read.txts or read.scores[0] < _LEAST or not any(map(str.isalnum, read.txts[0])):
            return None
        low, high = corners.min(0) * scale, corners.max(0) * scale
        box: Box = (round(low[0]), round(low[1]), round(high[0]), round(high[1]))
        return Line(read.txts[0].strip(), float(read.scores[0]), box)


def _factor(pixels: int) -> float:
    """Return by how much to enlarge a picture of so many pixels before lines are sought."""
    if pixels > _MOST_PIXELS:
        return float((_MOST_PIXELS / pixels) ** 0.5)
    return min(2.0, max(1.0, float((_FEWEST_PIXELS / pixels) ** 0.5)))


def _strip(image: Image.Image, corners: Any) -> Image.Image:
    """Return the piece of `image` between four corners, clockwise from the top left, as a level
    strip.
    """
    left_top, right_top, right_bottom, left_bottom = corners
    width = max(np.linalg.norm(right_top - left_top), np.linalg.norm(right_bottom - left_bottom))
    height = max(np.linalg.norm(left_bottom - left_top), np.linalg.norm(right_bottom - right_top))
    around = (*left_top, *left_bottom, *right_bottom, *right_top)
    strip = image.transform(
        (max(1, round(width)), max(1, round(height))),
        Image.Transform.QUAD,
        around,
        Image.Resampling.BICUBIC,
    )
    upright = strip.height >= strip.width * _UPRIGHT
    return strip.transpose(Image.Transpose.ROTATE_90) if upright else strip


def _blue_first(image: Image.Image) -> Any:
    return np.ascontiguousarray(np.asarray(image)[:, :, ::-1])
