"""What the emoji model knows of a prompt: MiniLM's vector of it, and of each of its tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dask_workers.backends.minilm import MiniLM
from dask_workers.emoji.codec import Floats

#: Tokens of a prompt that the network looks at, the two marks included.
TOKENS = 12
WIDTH = 384


class Told(NamedTuple):
    """Prompts as the network reads them; all zeros say nothing."""

    #: ``(n, 384)``: each prompt as a whole, its mean square 1.
    whole: Floats
    #: ``(n, 12, 384)``: its tokens, zeros after the last.
    tokens: Floats


def told(encoder: MiniLM, prompts: Sequence[str]) -> Told:
    """Read prompts; the empty one is nothing."""
    found = Told(
        np.zeros((len(prompts), WIDTH), np.float32),
        np.zeros((len(prompts), TOKENS, WIDTH), np.float32),
    )
    for row, prompt in enumerate(prompts):
        if words := prompt.strip().lower():
            states = encoder.states(words)
            found.whole[row] = _even(states.mean(0))
            found.tokens[row, : len(states)] = _even(states[:TOKENS])
    return found


def _even(vectors: Floats) -> Floats:
    scaled: Floats = vectors / np.sqrt(np.square(vectors).mean(-1, keepdims=True))
    return scaled
