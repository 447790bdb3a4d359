"""The last touch on a picture: surfaces become smooth, the paper white, and edges stay.

What the network draws is a little uneven from square to square of its code. Each pixel becomes the
mean of those about it that have nearly its colour (a bilateral filter: Tomasi and Manduchi, 1998).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

#: How many pixels far it looks, and how fast the weight of these falls.
_REACH, _NEAR = 2, 1.5
#: How far colours may be apart that are taken for one, of a range of 2.
_ALIKE = 0.35
_ROUNDS = 2
#: From here on what is light becomes lighter, until it is white.
_PALE, _WHITE = 0.86, 0.94


def varnish(pictures: Floats) -> Floats:
    """Return pictures ``(n, 3, height, width)``, of −1 to 1, with this touch."""
    for _ in range(_ROUNDS):
        pictures = _smooth(pictures)
    whiter = ((pictures.min(1, keepdims=True) - _PALE) / (_WHITE - _PALE)).clip(0, 1)
    touched: Floats = (pictures + (1 - pictures) * whiter).astype(np.float32)
    return touched


def _smooth(pictures: Floats) -> Floats:
    edge = (_REACH, _REACH)
    around = np.pad(pictures, ((0, 0), (0, 0), edge, edge), mode="edge")
    height, width = pictures.shape[2:]
    total, weights = np.zeros_like(pictures), np.zeros_like(pictures[:, :1])
    for down in range(2 * _REACH + 1):
        for right in range(2 * _REACH + 1):
            moved = around[:, :, down : down + height, right : right + width]
            apart = np.square(moved - pictures).sum(1, keepdims=True)
            away = (down - _REACH) ** 2 + (right - _REACH) ** 2
            weight = np.exp(-apart / (2 * _ALIKE**2) - away / (2 * _NEAR**2))
            total += weight * moved
            weights += weight
    return total / weights
