"""How well the emoji model draws what it is asked for, as a figure.

    python -m dask_workers.training.score --icons iconify-….tgz --words emojibase-….tgz

A picture is compared with every icon, both shrunk to 16×16: the rank of the icon that was meant
says whether colours and shape are right.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dask_workers.emoji.codec import Floats

#: Prompts that are no caption of the training, and the icon that each of them means.
HELD_OUT = (
    ("a heart as red as blood", "red-heart"),
    ("a yellow heart for a friend", "yellow-heart"),
    ("my heart is purple", "purple-heart"),
    ("a round dot, blue", "blue-circle"),
    ("a disc in green", "green-circle"),
    ("a box that is orange", "orange-square"),
    ("a ripe banana fruit", "banana"),
    ("a juicy tomato", "tomato"),
    ("an apple, green and sour", "green-apple"),
    ("a slice of pepperoni pizza", "pizza"),
    ("a burger with cheese", "hamburger"),
    ("a big pumpkin for halloween", "jack-o-lantern"),
    ("a soft kitty", "cat-face"),
    ("a little pink piggy", "pig-face"),
    ("a hopping bunny", "rabbit-face"),
    ("a frog from the pond", "frog"),
    ("bright sunshine", "sun-with-face"),
    ("the moon when it is full", "full-moon"),
    ("a fir tree in the forest", "evergreen-tree"),
    ("a crimson rose flower", "rose"),
    ("a happy smiley that laughs", "grinning-face"),
    ("a smiley that cries", "crying-face"),
    ("a ball for playing soccer", "soccer-ball"),
    ("a ball for basketball", "basketball"),
)
#: Names as they stand in the set, for comparison.
KNOWN = tuple((name.replace("-", " "), name) for _, name in HELD_OUT)
_COARSE = (16, 16)


def coarse(pictures: Sequence[Image.Image]) -> Floats:
    """Return pictures as a few figures each."""
    small = [one.convert("RGB").resize(_COARSE, Image.Resampling.BOX) for one in pictures]
    return np.stack([np.asarray(one, np.float32).ravel() for one in small])


def ranks(drawn: Sequence[Image.Image], wanted: Sequence[int], icons: Floats) -> NDArray[np.int64]:
    """Return for each picture at which place, from 1, the icon comes that was meant.

    Parameters
    ----------
    wanted
        Which of the icons each picture means.
    icons
        All of them, :func:`coarse`.
    """
    apart = np.square(coarse(drawn)[:, None] - icons[None]).mean(-1)
    meant = apart[np.arange(len(wanted)), list(wanted)]
    nearer: NDArray[np.int64] = (apart < meant[:, None]).sum(1)
    return nearer + 1


def noise(count: int) -> list[Image.Image]:
    """Return pictures of nothing."""
    dice = np.random.default_rng(0)
    return [Image.fromarray(dice.integers(0, 256, (64, 64, 3), np.uint8)) for _ in range(count)]


def main(argv: Sequence[str] | None = None) -> None:
    """Print the figures for the weights that MTOR ships."""
    from dask_workers.backends.minilm import MiniLM
    from dask_workers.emoji.light import WEIGHTS, LightPipeline
    from dask_workers.places import locate
    from dask_workers.training.icons import draw, read

    parser = argparse.ArgumentParser(prog="python -m dask_workers.training.score")
    parser.add_argument("--icons", type=Path, required=True)
    parser.add_argument("--words", type=Path)
    parser.add_argument("--model", type=Path, default=WEIGHTS)
    given = parser.parse_args(argv)
    place = locate("", "minilm", "", (("model.onnx",), ("tokenizer.json",)))
    if isinstance(place, str):
        raise SystemExit(place)
    icons = read(given.icons, given.words)
    captions = {caption for icon in icons for caption in icon.captions()}
    if seen := captions & {prompt for prompt, _ in HELD_OUT}:
        raise SystemExit(f"Not held out: {', '.join(sorted(seen))}")
    pictures = [((draw(icon) + 1) * 127.5).astype(np.uint8).transpose(1, 2, 0) for icon in icons]
    known = coarse([Image.fromarray(one) for one in pictures])
    names = [icon.name for icon in icons]
    pipeline = LightPipeline(given.model, MiniLM(place))
    print(f"Among {len(names)} icons, {len(HELD_OUT)} prompts with 4 seeds each:")  # noqa: T201
    for title, prompts in (("names", KNOWN), ("held-out prompts", HELD_OUT), ("noise", KNOWN)):
        wanted = [names.index(name) for _, name in prompts for _ in range(4)]
        drawn = noise(len(wanted))
        if title != "noise":
            drawn = [
                picture
                for prompt, _ in prompts
                for picture in pipeline(
                    [prompt] * 4, generator=[pipeline.dice(seed) for seed in range(4)]
                ).images
            ]
        found = ranks(drawn, wanted, known)
        print(  # noqa: T201
            f"{title:>18}: first {np.mean(found == 1):.0%}, among the first ten "
            f"{np.mean(found <= 10):.0%}, median rank {np.median(found):.0f}"
        )


if __name__ == "__main__":
    main()
