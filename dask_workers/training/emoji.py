"""Train the tiny text-to-emoji model, on a CPU's idle hours or in minutes on a GPU.

    npm pack @iconify-json/fluent-emoji-flat@1.2.6 && npm pack emojibase-data@17.0.0
    python -m dask_workers.training.emoji --icons iconify-….tgz --words emojibase-….tgz \
        --folder ~/emoji --minutes 90

Everything lies in the folder: ``state.pt`` (a later call goes on from it, also elsewhere),
``loss.csv``, grids of samples, and ``model/``, which is what the backend reads. SIGTERM and Ctrl-C
save and stop. The rate of learning falls to zero at the end of the run that was asked for;
``--again`` starts a new run of so many minutes from the state of the last.
"""

from __future__ import annotations

import argparse
import math
import signal
import time
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from diffusers.utils import SAFETENSORS_WEIGHTS_NAME as SAFETENSORS
from PIL import Image
from torch import Tensor

from dask_workers.backends.minilm import MiniLM
from dask_workers.emoji.codec import CELLS, FIGURES, Codec, Floats
from dask_workers.emoji.light import CODEC, NETWORK, SKETCH
from dask_workers.emoji.pipeline import EmojiPipeline
from dask_workers.emoji.reader import WIDTH, told
from dask_workers.emoji.sketch import COLOURS, Sketch
from dask_workers.places import locate
from dask_workers.training.graph import write_graph
from dask_workers.training.icons import colour, draw, read
from dask_workers.training.sketch import SHAKEN, coarse, teach

BATCH = 32
RATE = 1e-3
WARM_UP = 200
SILENT = 0.12
EMA = 0.999
SHOWN = (
    "a red heart", "a yellow star", "a slice of pizza", "a cat face", "a green apple",
    "the sun", "a smiling face", "a blue circle", "a house", "a red car",
    "a fish", "a tree", "a rose", "a banana", "a snowman", "a purple heart",
)  # fmt: skip


def network() -> UNet2DConditionModel:
    """Return the untrained network: 7 million weights, words enter everywhere.

    It sees the noisy picture and, as three more figures of every cell, the sketch.
    """
    return UNet2DConditionModel(
        sample_size=CELLS,
        in_channels=FIGURES + COLOURS,
        out_channels=FIGURES,
        layers_per_block=1,
        block_out_channels=(48, 96, 144),
        down_block_types=("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        cross_attention_dim=WIDTH,
        attention_head_dim=4,
        class_embed_type="projection",
        projection_class_embeddings_input_dim=WIDTH,
        time_embedding_dim=WIDTH,
        resnet_time_scale_shift="scale_shift",
        norm_num_groups=16,
    )


def noise_schedule() -> DDIMScheduler:
    """Return the schedule: it ends in pure noise, so that white can come out white."""
    return DDIMScheduler(
        beta_schedule="squaredcos_cap_v2",
        prediction_type="sample",
        clip_sample=False,
        timestep_spacing="trailing",
        set_alpha_to_one=True,
    )


class Lessons:
    """Every icon as the network sees it, and every caption as it reads it."""

    def __init__(self, icons: Path, words: Path | None, folder: Path, encoder: MiniLM) -> None:
        found = read(icons, words)
        pictures = np.stack([draw(icon) for icon in found])
        self.codec = _codec(folder / CODEC, pictures)
        self.figures = torch.from_numpy(self.codec.encode(pictures))
        self.weights = torch.tensor([icon.weight for icon in found])
        captions = [
            icon.captions(colour(picture)) for icon, picture in zip(found, pictures, strict=True)
        ]
        self._first = torch.tensor([0, *(len(few) for few in captions)]).cumsum(0)
        flat = [caption for few in captions for caption in few]
        self._whole, self._tokens = _read(folder / "captions.pt", flat, encoder)
        self.sketch = self._sketch(folder / SKETCH, torch.from_numpy(pictures))

    def _sketch(self, kept: Path, pictures: Tensor) -> Sketch:
        """Return the sketch that was taught, and teach it first where there is none."""
        if not kept.exists():
            captions = self._first.diff()
            which = torch.arange(len(captions)).repeat_interleave(captions)
            weights = (self.weights / captions)[which]
            teach(self._whole, which, coarse(pictures), weights).save(kept)
        return Sketch.load(kept)

    def draw(self, count: int, dice: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return a batch of pictures, a caption of each and its sketch; some say nothing."""
        which = torch.multinomial(self.weights, count, replacement=True, generator=dice)
        first, last = self._first[which], self._first[which + 1]
        caption = first + (torch.rand(count, generator=dice) * (last - first)).long()
        silent = torch.rand(count, generator=dice) < SILENT
        whole = self._whole[caption].float()
        whole += SHAKEN * torch.randn(whole.shape, generator=dice)
        whole = whole.masked_fill(silent[:, None], 0)
        tokens = self._tokens[caption].float().masked_fill(silent[:, None, None], 0)
        sketches = torch.from_numpy(self.sketch(whole.numpy()))
        return self.figures[which], whole, tokens, sketches


def _codec(kept: Path, pictures: Floats) -> Codec:
    """Return the code of pictures: the one that earlier runs used, for its signs are arbitrary."""
    if not kept.exists():
        Codec.fit(pictures).save(kept)
    return Codec.load(kept)


def _read(kept: Path, captions: list[str], encoder: MiniLM) -> tuple[Tensor, Tensor]:
    """Read the captions once; the same ones are not read again by a later run."""
    if kept.exists():
        saved = torch.load(kept, weights_only=True)
        if saved["captions"] == captions:
            return saved["whole"], saved["tokens"]
    unique = sorted(set(captions))
    place = {caption: row for row, caption in enumerate(unique)}
    rows = torch.tensor([place[caption] for caption in captions])
    whole, tokens = (torch.from_numpy(part).half()[rows] for part in told(encoder, unique))
    torch.save({"captions": captions, "whole": whole, "tokens": tokens}, kept)
    return whole, tokens


class Training:
    """The network in training, and all that is needed to go on with it later."""

    def __init__(self, folder: Path, lessons: Lessons, device: str, seed: int) -> None:
        torch.manual_seed(seed)
        self.folder = folder
        self.device = device
        self.lessons = lessons
        self.scheduler = noise_schedule()
        self.unet = network().to(device)
        self.mean = deepcopy(self.unet).requires_grad_(False)
        self.optimizer = torch.optim.AdamW(
            self.unet.parameters(), lr=RATE, weight_decay=0.01, betas=(0.9, 0.98)
        )
        self.dice = torch.Generator().manual_seed(seed)
        #: Steps of all runs, steps and seconds of this run.
        self.step = self.run_steps = 0
        self.run_seconds = 0.0
        self.losses: list[tuple[int, float]] = []
        self._told_loss = 0.0

    def learn(self, fraction: float, batch: int) -> None:
        """Take one step; `fraction` is how much of the run is over."""
        rate = RATE * min(1.0, (self.run_steps + 1) / WARM_UP)
        rate *= 0.5 * (1 + math.cos(math.pi * min(1.0, fraction)))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        clean, whole, tokens, sketches = self.lessons.draw(batch, self.dice)
        noise = torch.randn(clean.shape, generator=self.dice)
        when = torch.randint(0, len(self.scheduler.betas), (batch,), generator=self.dice)
        noisy = self.scheduler.add_noise(clean, noise, when)
        alive = self.scheduler.alphas_cumprod[when]
        # Between the loss of the picture (1) and of the velocity (1 + signal/noise).
        weight = (1 / (1 - alive)).sqrt().clamp(max=4.0)
        noisy = torch.cat([noisy, sketches], dim=1)
        clean, noisy, when, weight, whole, tokens = (
            part.to(self.device) for part in (clean, noisy, when, weight, whole, tokens)
        )
        guess = self.unet(noisy, when, tokens, class_labels=whole).sample
        loss = ((guess - clean).square().mean((1, 2, 3)) * weight).mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.unet.parameters(), 1.0)
        self.optimizer.step()
        self._follow()
        self.step += 1
        self.run_steps += 1
        self._told_loss += loss.item()
        if self.step % 50 == 0:
            self.losses.append((self.step, self._told_loss / 50))
            self._told_loss = 0.0

    @torch.no_grad()
    def _follow(self) -> None:
        keep = min(EMA, (1 + self.run_steps) / (10 + self.run_steps))
        mine, theirs = list(self.mean.parameters()), list(self.unet.parameters())
        torch._foreach_lerp_(mine, theirs, 1 - keep)

    def save(self) -> None:
        """Write everything; a reader sees the old file or the new one, whole."""
        state = {
            "unet": self.unet.state_dict(), "mean": self.mean.state_dict(),
            "optimizer": self.optimizer.state_dict(), "dice": self.dice.get_state(),
            "step": self.step, "run_steps": self.run_steps, "run_seconds": self.run_seconds,
            "losses": self.losses,
        }  # fmt: skip
        part = self.folder / "state.pt.part"
        torch.save(state, part)
        part.replace(self.folder / "state.pt")
        rows = [f"{step},{loss:.5f}" for step, loss in self.losses]
        (self.folder / "loss.csv").write_text("\n".join(["step,loss", *rows]) + "\n")

    def resume(self, *, again: bool) -> None:
        """Go on from what was saved; `again`: as the first step of a new run."""
        state: dict[str, Any] = torch.load(
            self.folder / "state.pt", map_location=self.device, weights_only=True
        )
        self.unet.load_state_dict(state["unet"])
        self.mean.load_state_dict(state["mean"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.dice.set_state(state["dice"].cpu())
        self.step, self.losses = state["step"], [tuple(row) for row in state["losses"]]
        if not again:
            self.run_steps, self.run_seconds = state["run_steps"], state["run_seconds"]

    def pipeline(self, encoder: MiniLM) -> EmojiPipeline:
        """Return what the averaged weights draw with."""
        found = EmojiPipeline(deepcopy(self.mean).cpu().eval(), noise_schedule())
        found.codec, found.encoder = self.lessons.codec, encoder
        found.sketch = self.lessons.sketch
        found.set_progress_bar_config(disable=True)
        return found

    def show(self, encoder: MiniLM) -> None:
        """Save the model as the backend reads it, and a grid of what it draws."""
        pipeline = self.pipeline(encoder)
        dice = [torch.Generator().manual_seed(7) for _ in SHOWN]
        drawn = pipeline(SHOWN, generator=dice).images
        grid(drawn, 8).save(self.folder / f"samples-{self.step:06}.png")
        model = self.folder / "model"
        pipeline.unet.half()
        pipeline.save(model)
        write_graph(pipeline.unet, model / "unet" / SAFETENSORS, model / NETWORK)


def grid(pictures: Sequence[Image.Image], columns: int) -> Image.Image:
    """Return pictures of one size side by side."""
    wide, high = pictures[0].size
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * wide, rows * high), "white")
    for place, picture in enumerate(pictures):
        sheet.paste(picture, (place % columns * wide, place // columns * high))
    return sheet


def main(argv: Sequence[str] | None = None) -> None:
    """Train as the arguments say."""
    given = _arguments().parse_args(argv)
    torch.set_num_threads(given.threads)
    given.folder.mkdir(parents=True, exist_ok=True)
    place = locate(str(given.minilm or ""), "minilm", "", (("model.onnx",), ("tokenizer.json",)))
    if isinstance(place, str):
        raise SystemExit(place)
    encoder = MiniLM(place, given.threads)
    lessons = Lessons(given.icons, given.words, given.folder, encoder)
    training = Training(given.folder, lessons, given.device, given.seed)
    if (given.folder / "state.pt").exists():
        training.resume(again=given.again)
    stopping: list[int] = []
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, lambda number, _: stopping.append(number))
    _run(training, encoder, given, stopping)


def _run(
    training: Training, encoder: MiniLM, given: argparse.Namespace, stopping: list[int]
) -> None:
    seconds = given.minutes * 60
    saved = shown = last = time.monotonic()
    while not stopping and training.run_seconds < seconds:
        if given.steps and training.run_steps >= given.steps:
            break
        over = training.run_steps / given.steps if given.steps else 0.0
        training.learn(max(over, training.run_seconds / seconds), given.batch)
        now = time.monotonic()
        training.run_seconds += now - last
        last = now
        if now - saved > given.save_seconds:
            training.save()
            saved = now
        if now - shown > given.show_seconds:
            training.show(encoder)
            shown = now
    training.save()
    training.show(encoder)


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m dask_workers.training.emoji",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--icons", type=Path, required=True, help="the archive of the Fluent emoji")
    add("--words", type=Path, help="the archive of emojibase-data: more words for each")
    add("--folder", type=Path, required=True, help="where state, samples and model are kept")
    add("--minilm", type=Path, help="a folder with MiniLM's files, if they were not pulled")
    add("--minutes", type=float, default=90.0, help="longest run, default 90")
    add("--steps", type=int, default=0, help="steps of the run, default as many as it can")
    add("--batch", type=int, default=BATCH, help=f"pictures a step, default {BATCH}")
    add("--again", action="store_true", help="a new run from the state of the last")
    add("--device", default="cpu", help="cpu or cuda, default cpu")
    add("--threads", type=int, default=1, help="threads that compute, default 1")
    add("--seed", type=int, default=0, help="default 0")
    add("--save-seconds", type=float, default=180.0, help="default 180")
    add("--show-seconds", type=float, default=600.0, help="default 600")
    return parser


if __name__ == "__main__":
    main()
