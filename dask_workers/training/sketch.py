"""The sketch is taught the pictures by heart: minutes on one thread."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from dask_workers.emoji.codec import CELLS
from dask_workers.emoji.reader import WIDTH
from dask_workers.emoji.sketch import COLOURS, Sketch

HIDDEN = 320
BATCH = 256
RATE = 2e-3
STEPS = 3000
#: How far the words are moved before they are read, so that words nearby have pictures nearby.
SHAKEN = 0.4


def layers() -> nn.Sequential:
    """Return the untaught layers."""
    return nn.Sequential(
        nn.Linear(WIDTH, HIDDEN),
        nn.SiLU(),
        nn.Linear(HIDDEN, HIDDEN),
        nn.SiLU(),
        nn.Linear(HIDDEN, COLOURS * CELLS**2),
    )


def coarse(pictures: Tensor) -> Tensor:
    """Return pictures, ``(n, 3, 64, 64)``, as the sketch should show them."""
    return functional.adaptive_avg_pool2d(pictures, CELLS).flatten(1)


def teach(
    whole: Tensor,
    which: Tensor,
    wanted: Tensor,
    weights: Tensor,
    *,
    steps: int = STEPS,
    seed: int = 0,
) -> Sketch:
    """Teach a sketch.

    Parameters
    ----------
    whole, which
        The vector of each caption, and which of the pictures it stands for.
    wanted, weights
        Each picture, :func:`coarse`, and how often each caption is shown beside others.
    """
    torch.manual_seed(seed)
    net = layers()
    optimizer = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=0.01)
    falling = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, steps, pct_start=0.1)
    for _ in range(steps):
        shown = torch.multinomial(weights, BATCH, replacement=True)
        words = whole[shown].float()
        guess = net(words + SHAKEN * torch.randn_like(words))
        loss = functional.mse_loss(guess, wanted[which[shown]])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        falling.step()
    linear = [layer for layer in net if isinstance(layer, nn.Linear)]
    return Sketch(
        {
            f"{number}.{name}": value.detach().numpy()
            for number, layer in enumerate(linear)
            for name, value in layer.named_parameters()
        }
    )
