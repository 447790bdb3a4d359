"""A pipeline of diffusers at work: orders in, pictures out."""

from __future__ import annotations

import gc
import inspect
import sys
from collections.abc import Sequence
from typing import Any

from PIL import Image as Picture

from dask_workers.drawing.memory import is_out_of_memory
from dask_workers.drawing.orders import Manner, Order
from dask_workers.drawing.previews import glimpses
from dask_workers.drawing.studio import Watch
from mtor_kernel.protocol.errors import BadInput, UnknownOption


class PipelineArtist:
    """Draws with any pipeline that takes a list of prompts and calls back after each step."""

    def __init__(self, pipeline: Any, preview_every: int) -> None:
        self._from_words = pipeline
        self._from_picture: Any = None
        self._preview_every = preview_every

    def draw(self, orders: Sequence[Order], watch: Watch) -> list[Picture.Image | None]:
        manner = orders[0].manner
        pipeline = self._from_words if manner.strength is None else self._redrawing()
        call = self._call(pipeline, orders, manner)
        steps = manner.steps_taken

        def after(_: Any, number: int, __: Any, state: dict[str, Any]) -> dict[str, Any]:
            number += 1
            shown = self._preview_every and number % self._preview_every == 0 and number < steps
            watch(min(number, steps), steps, glimpses(pipeline, state) if shown else [])
            return {}

        result = _called(pipeline, {**call, "callback_on_step_end": after})
        hidden = getattr(result, "nsfw_content_detected", None) or [False] * len(orders)
        return [
            None if hide else picture for picture, hide in zip(result.images, hidden, strict=True)
        ]

    def rest(self) -> None:
        torch = sys.modules.get("torch")  # where it is not in use there is nothing to give back
        if torch is not None and torch.cuda.is_available():
            torch.cuda.empty_cache()

    def leave(self) -> None:
        self._from_words = self._from_picture = None
        gc.collect()
        self.rest()

    def _redrawing(self) -> Any:
        """Return the pipeline that begins with a picture; it shares the weights of the other."""
        if self._from_picture is None:
            if "image" in inspect.signature(type(self._from_words).__call__).parameters:
                self._from_picture = self._from_words
            else:
                self._from_picture = _sibling(self._from_words)
        return self._from_picture

    @staticmethod
    def _call(pipeline: Any, orders: Sequence[Order], manner: Manner) -> dict[str, Any]:
        takes = inspect.signature(type(pipeline).__call__).parameters
        call: dict[str, Any] = {
            "prompt": [order.prompt for order in orders],
            "num_inference_steps": manner.steps,
            "guidance_scale": manner.guidance,
            "generator": [_dice(pipeline, order.seed) for order in orders],
            "output_type": "pil",
        }
        if any(order.negative for order in orders):
            if "negative_prompt" not in takes:
                raise UnknownOption("This model takes no negative_prompt: leave it out.")
            call["negative_prompt"] = [order.negative for order in orders]
        if manner.strength is not None:
            call["image"] = [order.picture for order in orders]
            call["strength"] = manner.strength
        size = {"width": manner.width, "height": manner.height}
        return call | {name: value for name, value in size.items() if name in takes}


def _called(pipeline: Any, call: dict[str, Any]) -> Any:
    try:
        return pipeline(**call)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
    # Out here it has no context: the error before it holds the frames, and they what did not fit.
    raise MemoryError


def _dice(pipeline: Any, seed: int) -> Any:
    if hasattr(pipeline, "dice"):
        return pipeline.dice(seed)
    import torch

    # On the CPU whatever the device is: a seed means the same picture everywhere.
    return torch.Generator("cpu").manual_seed(seed)


def _sibling(pipeline: Any) -> Any:
    from diffusers import AutoPipelineForImage2Image

    try:
        found = AutoPipelineForImage2Image.from_pipe(pipeline)
    except ValueError:
        raise BadInput("This model draws from words only: leave the picture out.") from None
    found.set_progress_bar_config(disable=True)
    return found
