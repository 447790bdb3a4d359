"""The emoji model as a pipeline of diffusers: what is trained, and what runs where torch is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from diffusers import DDIMScheduler, DiffusionPipeline, UNet2DConditionModel
from diffusers.utils import logging as diffusers_logging
from PIL import Image
from torch import Tensor

from dask_workers.backends.minilm import MiniLM
from dask_workers.emoji.codec import CELLS, FIGURES, SIDE, Codec
from dask_workers.emoji.light import CODEC, GUIDANCE, SKETCH, Drawn
from dask_workers.emoji.reader import told
from dask_workers.emoji.sketch import Sketch


class EmojiPipeline(DiffusionPipeline):
    """Draw small pictures on white; words are read by MiniLM, which is given from outside."""

    def __init__(self, unet: UNet2DConditionModel, scheduler: DDIMScheduler) -> None:
        super().__init__()
        self.register_modules(unet=unet, scheduler=scheduler)
        self.codec: Codec | None = None
        self.sketch: Sketch | None = None
        self.encoder: MiniLM | None = None

    @classmethod
    def open(cls, folder: Path, encoder: MiniLM) -> Self:
        """Read a saved one; nothing is fetched."""
        diffusers_logging.disable_progress_bar()
        found: Self = cls.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            dtype=torch.float32,
            low_cpu_mem_usage=False,
        )
        found.codec, found.encoder = Codec.load(folder / CODEC), encoder
        found.sketch = Sketch.load(folder / SKETCH)
        return found

    def save(self, folder: Path) -> None:
        """Write it as diffusers does, its code of pictures and its sketch beside it."""
        assert self.codec is not None
        assert self.sketch is not None
        self.save_pretrained(folder)
        self.codec.save(folder / CODEC)
        self.sketch.save(folder / SKETCH)

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
        latents: Tensor | None = None,
        callback_on_step_end: Callable[..., dict[str, Any]] | None = None,
        output_type: str = "pil",
    ) -> Drawn:
        """Draw one picture a prompt, each from its own generator."""
        assert self.encoder is not None
        assert self.codec is not None
        assert self.sketch is not None
        words = told(self.encoder, [*prompt, *(negative_prompt or [""] * len(prompt))])
        whole, tokens = torch.from_numpy(words.whole), torch.from_numpy(words.tokens)
        sketches = torch.from_numpy(self.sketch(words.whole))
        figures = latents
        if figures is None:
            figures = self._noise(generator or [torch.Generator() for _ in prompt])
        self.scheduler.set_timesteps(num_inference_steps)
        times = self.scheduler.timesteps
        if image is not None:
            times = times[len(times) - int(num_inference_steps * strength) :]
            given = torch.from_numpy(self.codec.read(list(image)))
            figures = self.scheduler.add_noise(given, figures, times[:1])
        for step, when in enumerate(times):
            twice = torch.cat([torch.cat([figures, figures]), sketches], dim=1)
            both = self.unet(twice, when, tokens, class_labels=whole).sample
            wanted, unwanted = both.chunk(2)
            guess = unwanted + guidance_scale * (wanted - unwanted)
            figures = self.scheduler.step(guess, when, figures).prev_sample
            if callback_on_step_end is not None:
                callback_on_step_end(self, step, when, {"latents": figures, "guess": guess})
        return Drawn(self.codec.write(figures.numpy(), width, height))

    def glimpse(self, state: Mapping[str, Any]) -> list[Image.Image]:
        """Return what the pictures will probably become."""
        assert self.codec is not None
        return self.codec.write(state["guess"].numpy(), 2 * SIDE, 2 * SIDE)

    @staticmethod
    def _noise(generators: Sequence[torch.Generator]) -> Tensor:
        shape = (FIGURES, CELLS, CELLS)
        return torch.stack([torch.randn(shape, generator=one) for one in generators])
