"""The main colours of a picture, by the plain names that people give them."""

from __future__ import annotations

import numpy as np
from PIL import Image

from dask_workers.sight.findings import Colour

_SIDE = 64
_LEAST = 0.08
_KEPT = 4
#: Bounds of hue, on a wheel of 0 to 255, and the name below each.
_HUES = (
    (8, "red"), (28, "orange"), (48, "yellow"), (115, "green"), (138, "turquoise"),
    (180, "blue"), (222, "purple"), (244, "pink"), (256, "red"),
)  # fmt: skip


def look(image: Image.Image) -> list[Colour]:
    """Return the main colours of `image`, the largest share first."""
    small = image.resize((_SIDE, _SIDE), Image.Resampling.BOX)
    pixels = np.asarray(small).reshape(-1, 3)
    named = np.array([_name(*one) for one in np.asarray(small.convert("HSV")).reshape(-1, 3)])
    found = []
    for name in np.unique(named):
        share = float((named == name).mean())
        red, green, blue = (round(value) for value in pixels[named == name].mean(0))
        found.append(Colour(str(name), share, f"#{red:02x}{green:02x}{blue:02x}"))
    found.sort(key=lambda colour: -colour.share)
    return [colour for colour in found if colour.share >= _LEAST][:_KEPT]


def _name(hue: int, saturation: int, value: int) -> str:
    """Return the plain name of a colour, from its hue, saturation and value of 0 to 255.

    The bounds were set by eye: people do not agree about them either.
    """
    if value < 45:
        return "black"
    name = next(name for bound, name in _HUES if hue < bound)
    if saturation < 38:
        cream = name in ("orange", "yellow") and saturation > 18
        return "grey" if value <= 210 else "beige" if cream else "white"
    match name:
        case "red" if saturation < 130 and value > 200:
            return "pink"
        case "red" | "orange" if value < 75 and saturation < 90:
            return "black"
        case "red" if value < 140 and saturation < 200:
            return "brown"
        case "orange" if value < 140 or saturation < 150:
            return "beige" if value > 190 else "brown"
        case "yellow" if saturation < 110 and value > 170:
            return "beige"
    return name
