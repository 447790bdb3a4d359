"""What the emoji model knows of a prompt: MiniLM's vector of it, and of each of its tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Self

import torch
from torch import Tensor

from dask_workers.backends.minilm import MiniLM

#: Tokens of a prompt that the network looks at, the two marks included.
TOKENS = 12
WIDTH = 384


class Told(NamedTuple):
    """Prompts as the network reads them; all zeros say nothing."""

    #: ``(n, 384)``: each prompt as a whole, its mean square 1.
    whole: Tensor
    #: ``(n, 12, 384)``: its tokens, zeros after the last.
    tokens: Tensor

    def rows(self, which: Tensor) -> Self:
        """Return some of the prompts, by number."""
        return type(self)(self.whole[which].float(), self.tokens[which].float())

    def but(self, silent: Tensor) -> Self:
        """Return the same with some prompts said to be nothing: for guidance."""
        whole = self.whole.masked_fill(silent[:, None], 0)
        return type(self)(whole, self.tokens.masked_fill(silent[:, None, None], 0))


def told(encoder: MiniLM, prompts: Sequence[str]) -> Told:
    """Read prompts; the empty one is nothing."""
    whole = torch.zeros(len(prompts), WIDTH)
    tokens = torch.zeros(len(prompts), TOKENS, WIDTH)
    for row, prompt in enumerate(prompts):
        if not prompt.strip():
            continue
        states = torch.from_numpy(encoder.states(prompt.strip().lower()))
        mean = states.mean(0)
        whole[row] = mean / mean.square().mean().sqrt()
        kept = states[:TOKENS]
        tokens[row, : len(kept)] = kept / kept.square().mean(-1, keepdim=True).sqrt()
    return Told(whole, tokens)
