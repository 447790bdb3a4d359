"""Small pictures of what is being drawn."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from PIL import Image

#: The longest PNG that travels with a query's progress, in bytes.
MAX_BYTES = 48 * 1024
#: The longest side of a small picture, in pixels.
SIDE = 128
#: The longest side of what a decoder is given, in its own coarse pixels.
_COARSE = 16


def png_of(picture: Image.Image) -> bytes:
    """Return a picture as PNG."""
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def small_png(picture: Image.Image, side: int = SIDE) -> bytes:
    """Return a picture as a PNG that may travel with progress."""
    while True:
        small = picture.copy()
        small.thumbnail((side, side), Image.Resampling.BILINEAR)
        png = png_of(small)
        if len(png) <= MAX_BYTES:
            return png
        side = side * 3 // 4


def glimpses(pipeline: Any, state: Mapping[str, Any]) -> list[Image.Image]:
    """Return what a pipeline has drawn so far, one small picture an order; none if it cannot say.

    A pipeline may know itself (``glimpse``). Of any other the latent pictures are made so coarse
    that decoding them costs next to nothing, which also averages some of the noise away.
    """
    if hasattr(pipeline, "glimpse"):
        found: list[Image.Image] = pipeline.glimpse(state)
        return found
    vae, latents = getattr(pipeline, "vae", None), state.get("latents")
    if vae is None or latents is None or latents.ndim != 4:
        return []
    import torch

    high, wide = latents.shape[-2:]
    scale = min(1.0, _COARSE / max(high, wide))
    coarse = torch.nn.functional.adaptive_avg_pool2d(
        latents, (max(1, round(high * scale)), max(1, round(wide * scale)))
    )
    shift = getattr(vae.config, "shift_factor", None) or 0.0
    with torch.no_grad():
        decoded = vae.decode(coarse / vae.config.scaling_factor + shift).sample
    pixels = ((decoded.float() + 1) * 127.5).clamp(0, 255).byte().movedim(1, -1).cpu().numpy()
    return [Image.fromarray(one) for one in pixels]
