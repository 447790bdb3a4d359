"""The pipeline of diffusers that draws an emoji from words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from diffusers import DDIMScheduler, DiffusionPipeline, UNet2DConditionModel
from PIL import Image
from torch import Tensor

from dask_workers.backends.minilm import MiniLM
from dask_workers.emoji.codec import Codec
from dask_workers.emoji.reader import Told, told

#: Where the trained weights lie.
WEIGHTS = Path(__file__).parent / "weights"
CODEC = "codec.safetensors"
#: Pixels of a picture's side, and of the squares it is made of.
SIDE = 64
SQUARE = 4
GUIDANCE = 3.0
_SMOOTH = Image.Resampling.BICUBIC


class Drawn(NamedTuple):
    """What the pipeline returns, named as diffusers names it."""

    images: list[Image.Image]


class EmojiPipeline(DiffusionPipeline):
    """Draw small pictures on white; words are read by MiniLM, which is given from outside."""

    def __init__(self, unet: UNet2DConditionModel, scheduler: DDIMScheduler) -> None:
        super().__init__()
        self.register_modules(unet=unet, scheduler=scheduler)
        self.codec: Codec | None = None
        self.encoder: MiniLM | None = None

    @classmethod
    def open(cls, folder: Path, encoder: MiniLM) -> Self:
        """Read a saved one; nothing is fetched."""
        found: Self = cls.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=torch.float32,
            low_cpu_mem_usage=False,
        )  # fmt: skip
        found.codec, found.encoder = Codec.load(folder / CODEC), encoder
        return found

    def save(self, folder: Path) -> None:
        """Write it as diffusers does, and its code of pictures beside it."""
        assert self.codec is not None
        self.save_pretrained(folder)
        self.codec.save(folder / CODEC)

    @torch.no_grad()
    def __call__(
        self,
        prompt: Sequence[str],
        negative_prompt: Sequence[str] | None = None,
        image: Sequence[Image.Image] | None = None,
        strength: float = 0.7,
        width: int = SIDE,
        height: int = SIDE,
        num_inference_steps: int = 20,
        guidance_scale: float = GUIDANCE,
        generator: Sequence[torch.Generator] | None = None,
        callback_on_step_end: Callable[..., dict[str, Any]] | None = None,
        output_type: str = "pil",
    ) -> Drawn:
        """Draw one picture a prompt, each from its own generator, as a square in the size asked."""
        assert self.encoder is not None
        count = len(prompt)
        words = told(self.encoder, [*prompt, *(negative_prompt or [""] * count)])
        self.scheduler.set_timesteps(num_inference_steps)
        times = self.scheduler.timesteps
        figures = self._noise(generator or [torch.Generator() for _ in prompt])
        if image is not None:
            times = times[len(times) - int(num_inference_steps * strength) :]
            figures = self.scheduler.add_noise(self._figures(image), figures, times[:1])
        for step, when in enumerate(times):
            guess = self._guess(figures, when, words, guidance_scale)
            figures = self.scheduler.step(guess, when, figures).prev_sample
            if callback_on_step_end is not None:
                callback_on_step_end(self, step, when, {"latents": figures, "guess": guess})
        return Drawn([_framed(one, width, height) for one in self.pictures(figures)])

    def glimpse(self, state: Mapping[str, Any]) -> list[Image.Image]:
        """Return what the pictures will probably become."""
        return [_framed(one, 128, 128) for one in self.pictures(state["guess"])]

    def pictures(self, figures: Tensor) -> list[Image.Image]:
        """Return the pictures that figures stand for."""
        assert self.codec is not None
        pixels = ((self.codec.decode(figures) + 1) * 127.5).round().byte().movedim(1, -1)
        return [Image.fromarray(one.numpy()) for one in pixels]

    def _noise(self, generators: Sequence[torch.Generator]) -> Tensor:
        shape = (self.unet.config.in_channels, SIDE // SQUARE, SIDE // SQUARE)
        return torch.stack([torch.randn(shape, generator=one) for one in generators])

    def _figures(self, pictures: Sequence[Image.Image]) -> Tensor:
        assert self.codec is not None
        small = [one.convert("RGB").resize((SIDE, SIDE), _SMOOTH) for one in pictures]
        pixels = torch.stack([torch.from_numpy(np.array(one, np.float32)) for one in small])
        return self.codec.encode((pixels / 127.5 - 1).movedim(-1, 1))

    def _guess(self, figures: Tensor, when: Tensor, words: Told, guidance: float) -> Tensor:
        """Return the picture that the noise hides: away from the unwanted, towards the wanted."""
        count = len(figures)
        if guidance == 1.0:
            whole, tokens = words.whole[:count], words.tokens[:count]
            alone: Tensor = self.unet(figures, when, tokens, class_labels=whole).sample
            return alone
        twice = torch.cat([figures, figures])
        both: Tensor = self.unet(twice, when, words.tokens, class_labels=words.whole).sample
        wanted, unwanted = both.chunk(2)
        return unwanted + guidance * (wanted - unwanted)


def _framed(picture: Image.Image, width: int, height: int) -> Image.Image:
    """Return a square picture in another size, on white where that is no square."""
    side = min(width, height)
    large = picture.resize((side, side), _SMOOTH)
    if width == height:
        return large
    frame = Image.new("RGB", (width, height), "white")
    frame.paste(large, ((width - side) // 2, (height - side) // 2))
    return frame
