"""The pictures of the emoji model's card: what it draws, and how its loss fell.

python -m dask_workers.training.card --folder ~/emoji --into pictures
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from dask_workers.backends.minilm import MiniLM
from dask_workers.emoji.light import LightPipeline
from dask_workers.places import locate
from dask_workers.training.score import HELD_OUT

#: Prompts that are names of icons, or nearly.
NAMED = (
    "a red heart", "a yellow star", "a blue circle", "a green apple", "a banana", "a tomato",
    "a slice of pizza", "the sun", "a full moon", "a smiling face", "a crying face", "a cat face",
    "a pig face", "a frog", "a fish", "a tree", "a rose", "a house", "a red car", "a rocket",
    "a snowman", "a soccer ball", "a purple heart", "an orange square",
)  # fmt: skip
SEEDS = (0, 1, 2, 3)
_COLUMNS, _SIDE, _LABEL = 3, 64, 150
_CURVE = (480, 240)


def sheet(pipeline: LightPipeline, prompts: Sequence[str]) -> Image.Image:
    """Return what is drawn for prompts, each with its words and four seeds."""
    font = ImageFont.load_default(12)
    wide, rows = _LABEL + len(SEEDS) * _SIDE, -(-len(prompts) // _COLUMNS)
    page = Image.new("RGB", (_COLUMNS * wide, rows * _SIDE), "white")
    pen = ImageDraw.Draw(page)
    for number, prompt in enumerate(prompts):
        left, top = number // rows * wide, number % rows * _SIDE
        words = prompt.split(" ")
        half = -(-len(words) // 2) if len(prompt) > 22 else len(words)
        lines = "\n".join(" ".join(part) for part in (words[:half], words[half:]) if part)
        pen.multiline_text((left + 8, top + _SIDE // 2), lines, "black", font, anchor="lm")
        dice = [pipeline.dice(seed) for seed in SEEDS]
        for place, picture in enumerate(pipeline([prompt] * len(SEEDS), generator=dice).images):
            page.paste(picture, (left + _LABEL + place * _SIDE, top))
    return page


def curve(rows: Sequence[tuple[int, float]]) -> Image.Image:
    """Return the loss, averaged over 200 steps, on a logarithmic scale."""
    import numpy as np

    steps = np.array([step for step, _ in rows])
    smooth = np.array([np.mean([loss for _, loss in rows[max(0, n - 3) : n + 1]])
                       for n in range(len(rows))])  # fmt: skip
    font, (wide, high) = ImageFont.load_default(11), _CURVE
    page = Image.new("RGB", _CURVE, "white")
    pen = ImageDraw.Draw(page)
    left, right, top, bottom = 44, wide - 12, 12, high - 28
    low, top_loss = np.log(smooth.min() * 0.95), np.log(smooth.max() * 1.05)

    def place(step: float, loss: float) -> tuple[float, float]:
        down = (top_loss - np.log(loss)) / (top_loss - low)
        return left + (right - left) * step / steps[-1], float(top + (bottom - top) * down)

    for loss in (0.1, 0.15, 0.2, 0.3, 0.5, 1.0):
        if low < np.log(loss) < top_loss:
            height = place(0, loss)[1]
            pen.line((left, height, right, height), fill="#dddddd")
            pen.text((left - 6, height), f"{loss:g}", "black", font, anchor="rm")
    for tenth in range(0, 11, 2):
        step = int(steps[-1] * tenth / 10)
        pen.text((place(step, 1)[0], bottom + 6), f"{step:,}", "black", font, anchor="mt")
    pen.line([place(*row) for row in zip(steps, smooth, strict=True)], fill="#c03030", width=2)
    return page


def main(argv: Sequence[str] | None = None) -> None:
    """Draw them."""
    parser = argparse.ArgumentParser(prog="python -m dask_workers.training.card")
    parser.add_argument("--folder", type=Path, required=True, help="of the training")
    parser.add_argument("--into", type=Path, required=True, help="where the pictures are put")
    given = parser.parse_args(argv)
    place = locate("", "minilm", "", (("model.onnx",), ("tokenizer.json",)))
    if isinstance(place, str):
        raise SystemExit(place)
    given.into.mkdir(parents=True, exist_ok=True)
    with (given.folder / "loss.csv").open() as file:
        rows = [(int(row["step"]), float(row["loss"])) for row in csv.DictReader(file)]
    curve(rows).quantize(16).save(given.into / "loss.png", optimize=True)
    pipeline = LightPipeline(given.folder / "model", MiniLM(place))
    for name, prompts in (("samples", NAMED), ("held-out", [words for words, _ in HELD_OUT])):
        page = sheet(pipeline, prompts).quantize(256, dither=Image.Dither.NONE)
        page.save(given.into / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
