"""Drawing with the emoji model by onnxruntime: without torch, in half the time, started at once.

The graph in ``network.onnx`` holds no weights: it names places in the file that diffusers reads,
so there is one file of weights for both. The arithmetic is that of diffusers' ``DDIMScheduler``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from dask_workers.backends.minilm import MiniLM
from dask_workers.emoji.codec import CELLS, FIGURES, SIDE, Codec, Floats
from dask_workers.emoji.reader import Told, told
from dask_workers.emoji.sketch import Sketch

#: Where the trained weights lie, and what is in their folder beside those of diffusers.
WEIGHTS = Path(__file__).parent / "weights"
CODEC, SKETCH, NETWORK = "codec.safetensors", "sketch.safetensors", "network.onnx"
GUIDANCE = 3.0
#: Steps of the noise that the network was trained with.
_LEVELS = 1000


class Drawn(NamedTuple):
    """What a pipeline returns, named as diffusers names it."""

    images: list[Image.Image]


class LightPipeline:
    """Called as a pipeline of diffusers is."""

    def __init__(self, folder: Path, encoder: MiniLM, n_threads: int = 1) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = n_threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._network: Any = onnxruntime.InferenceSession(
            str(folder / NETWORK), options, providers=["CPUExecutionProvider"]
        )
        self._codec = Codec.load(folder / CODEC)
        self._sketch = Sketch.load(folder / SKETCH)
        self._encoder = encoder
        self._kept = kept_signal()

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
        generator: Sequence[np.random.Generator] | None = None,
        latents: Floats | None = None,
        callback_on_step_end: Callable[..., dict[str, Any]] | None = None,
        output_type: str = "pil",
    ) -> Drawn:
        """Draw one picture a prompt, each from its own generator."""
        words = told(self._encoder, [*prompt, *(negative_prompt or [""] * len(prompt))])
        sketches = self._sketch(words.whole)
        figures = latents
        if figures is None:
            figures = self._noise(generator or [np.random.default_rng() for _ in prompt])
        times = [round(_LEVELS - n * _LEVELS / num_inference_steps) - 1
                 for n in range(num_inference_steps)]  # fmt: skip
        if image is not None:
            times = times[len(times) - int(num_inference_steps * strength) :]
            kept = self._kept[times[0]]
            figures = self._codec.read(list(image)) * kept**0.5 + figures * (1 - kept) ** 0.5
        for step, when in enumerate(times):
            guess = self._guess(figures, when, words, sketches, guidance_scale)
            before = when - _LEVELS // num_inference_steps
            figures = self._stepped(figures, guess, when, before)
            if callback_on_step_end is not None:
                callback_on_step_end(self, step, when, {"latents": figures, "guess": guess})
        return Drawn(self._codec.write(figures, width, height))

    @staticmethod
    def dice(seed: int) -> np.random.Generator:
        """Return a generator for one picture."""
        return np.random.default_rng(seed)

    def glimpse(self, state: Mapping[str, Any]) -> list[Image.Image]:
        """Return what the pictures will probably become."""
        return self._codec.write(state["guess"], 2 * SIDE, 2 * SIDE)

    @staticmethod
    def _noise(generators: Sequence[np.random.Generator]) -> Floats:
        shape = (FIGURES, CELLS, CELLS)
        return np.stack([one.standard_normal(shape, np.float32) for one in generators])

    def _guess(
        self, figures: Floats, when: int, words: Told, sketches: Floats, guidance: float
    ) -> Floats:
        """Return the picture that the noise hides: away from the unwanted, towards the wanted."""
        twice = np.concatenate([figures, figures])
        both = self._run(np.concatenate([twice, sketches], axis=1), when, words)
        wanted, unwanted = np.split(both, 2)
        return unwanted + np.float32(guidance) * (wanted - unwanted)

    def _run(self, seen: Floats, when: int, words: Told) -> Floats:
        given = {
            "noisy": seen,
            "when": np.full(len(seen), when, np.float32),
            "tokens": words.tokens,
            "whole": words.whole,
        }
        clean: Floats = self._network.run(None, given)[0]
        return clean

    def _stepped(self, figures: Floats, guess: Floats, when: int, before: int) -> Floats:
        now, then = self._kept[when], self._kept[before] if before >= 0 else 1.0
        noise = (figures - now**0.5 * guess) / (1 - now) ** 0.5
        stepped: Floats = (then**0.5 * guess + (1 - then) ** 0.5 * noise).astype(np.float32)
        return stepped


def kept_signal() -> list[float]:
    """Return how much of the picture is left at each level of noise (Nichol's cosine schedule)."""

    def level(t: float) -> float:
        return float(np.cos((t + 0.008) / 1.008 * np.pi / 2) ** 2)

    losses = [min(1 - level((n + 1) / _LEVELS) / level(n / _LEVELS), 0.999) for n in range(_LEVELS)]
    return [float(kept) for kept in np.cumprod(1 - np.array(losses))]
