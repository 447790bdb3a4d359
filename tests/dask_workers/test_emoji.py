"""The emoji model draws what it is asked for: measured against icons, and against noise."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image as Picture

from dask_workers.backends.diffusers import DiffusersBackend
from dask_workers.backends.minilm import MiniLM
from dask_workers.emoji.light import WEIGHTS, LightPipeline, kept_signal
from dask_workers.emoji.varnish import varnish
from dask_workers.training.score import HELD_OUT, KNOWN, coarse, noise, ranks
from mtor_kernel.protocol.backend import Delta, Step
from mtor_kernel.protocol.query import Image, Message, Query, Text, make_options
from tests.dask_workers.contract import ContextDouble
from tests.dask_workers.samples import EMOJI

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("minilm")]

#: 24 icons that the model has seen, in the order of :data:`HELD_OUT` (Fluent emoji, MIT).
SHEET = Path(__file__).parents[1] / "pictures" / "emoji-icons.png"
SEEDS = (1, 2)
MOST_BYTES = 15_000_000


@pytest.fixture(scope="module")
def pipeline(minilm: Path) -> LightPipeline:
    return LightPipeline(WEIGHTS, MiniLM(minilm))


@pytest.fixture(scope="module")
def backend(minilm: Path) -> Iterator[DiffusersBackend]:
    made = DiffusersBackend(EMOJI)
    made.load()
    yield made
    made.unload()


@pytest.fixture(scope="module")
def icons() -> list[Picture.Image]:
    sheet = Picture.open(SHEET).convert("RGB")
    corners = [(64 * x, 64 * y) for y in range(3) for x in range(8)]
    return [sheet.crop((x, y, x + 64, y + 64)) for x, y in corners]


def drawn(pipeline: LightPipeline, prompts: list[str]) -> list[Picture.Image]:
    """Draw each prompt with each seed."""
    found = []
    for prompt in prompts:
        dice = [pipeline.dice(seed) for seed in SEEDS]
        found += pipeline([prompt] * len(SEEDS), generator=dice, num_inference_steps=12).images
    return found


def apart(one: Picture.Image, other: Picture.Image) -> float:
    """Return how far two pictures are apart, on average, of 255."""
    return float(np.abs(np.asarray(one, float) - np.asarray(other, float)).mean())


@pytest.mark.timeout(600)
def test_what_it_draws_is_nearest_to_what_was_meant(
    pipeline: LightPipeline, icons: list[Picture.Image]
) -> None:
    wanted = [place for place in range(len(icons)) for _ in SEEDS]
    known = coarse(icons)
    named = ranks(drawn(pipeline, [prompt for prompt, _ in KNOWN]), wanted, known)
    held_out = ranks(drawn(pipeline, [prompt for prompt, _ in HELD_OUT]), wanted, known)
    nothing = ranks(noise(len(wanted)), wanted, known)
    print(f"mean rank of {len(icons)}: {named.mean()}, {held_out.mean()}, {nothing.mean()}")
    assert np.mean(named == 1) > 0.5
    assert np.mean(held_out == 1) > 0.3
    assert np.mean(nothing == 1) < 0.1
    assert named.mean() < nothing.mean() / 2
    assert held_out.mean() < nothing.mean() / 2


def test_a_red_heart_is_red_in_the_middle_and_white_at_the_corners(
    pipeline: LightPipeline,
) -> None:
    (heart, _) = drawn(pipeline, ["a red heart"])
    pixels = np.asarray(heart, float)
    red, green, blue = pixels[24:40, 24:40].mean((0, 1))
    assert red > 150
    assert red > 2 * max(green, blue)
    assert pixels[-6:, :6].min() > 200
    assert pixels[-6:, -6:].min() > 200


def test_pictures_differ_by_prompt_and_by_seed_and_are_the_same_again(
    pipeline: LightPipeline,
) -> None:
    prompts = ["a red heart", "a green apple", "a blue circle", "a smiling face"]
    one, other = drawn(pipeline, prompts)[::2], drawn(pipeline, prompts)[1::2]
    again = drawn(pipeline, prompts)[::2]
    assert [apart(a, b) for a, b in zip(one, again, strict=True)] == [0.0] * 4
    assert all(a.tobytes() != b.tobytes() for a, b in zip(one, other, strict=True))
    for number, picture in enumerate(one):
        assert all(apart(picture, rest) > 15 for rest in one[number + 1 :])


@pytest.mark.usefixtures("one_thread")
def test_diffusers_draws_the_same_from_the_same_weights(
    pipeline: LightPipeline, minilm: Path
) -> None:
    import torch

    from dask_workers.emoji.pipeline import EmojiPipeline

    real = EmojiPipeline.open(WEIGHTS, MiniLM(minilm))
    assert np.allclose(real.scheduler.alphas_cumprod, kept_signal(), atol=1e-6)
    start = np.random.default_rng(1).standard_normal((2, 20, 16, 16), np.float32)
    asked = {"prompt": ["a red heart", "the sun"], "num_inference_steps": 6}
    ours = pipeline(**asked, latents=start).images
    theirs = real(**asked, latents=torch.from_numpy(start)).images
    assert all(apart(a, b) < 0.5 for a, b in zip(ours, theirs, strict=True))
    begun = {"image": [ours[0], ours[0]], "strength": 0.5}
    ours = pipeline(**asked, **begun, latents=start).images
    theirs = real(**asked, **begun, latents=torch.from_numpy(start)).images
    assert all(apart(a, b) < 0.5 for a, b in zip(ours, theirs, strict=True))


def test_the_backend_draws_with_either(minilm: Path) -> None:
    spec = msgspec.structs.replace(EMOJI, settings={**EMOJI.settings, "runtime": "torch"})
    backend = DiffusersBackend(spec)
    assert backend.missing() == ""
    backend.load()
    picture, steps = imagined(backend, "a red heart", steps=6)
    backend.unload()
    assert picture.size == (64, 64)
    assert len(steps) == 6


def imagined(
    backend: DiffusersBackend, prompt: str, **options: object
) -> tuple[Picture.Image, list[Step]]:
    context = ContextDouble()
    query = Query((Message("user", (Text(prompt),)),), "emoji", make_options(dict(options)))
    said = list(backend.stream(query, context))
    (part,) = [one.part for one in said if isinstance(one, Delta)]
    assert isinstance(part, Image)
    steps = [one for one in said if isinstance(one, Step)]
    return Picture.open(io.BytesIO(context.blobs[part.blob])), steps


def test_it_is_made_larger_for_display_and_shown_while_it_is_drawn(
    backend: DiffusersBackend,
) -> None:
    picture, steps = imagined(backend, "a red heart", width=256, height=128)
    assert picture.size == (256, 128)
    assert [number for number, step in enumerate(steps, start=1) if step.preview] == [5, 10, 15]


def test_a_picture_to_begin_with_is_kept_the_more_the_less_strength(
    backend: DiffusersBackend,
) -> None:
    context = ContextDouble()
    blue = io.BytesIO()
    Picture.new("RGB", (64, 64), (30, 60, 220)).save(blue, "PNG")
    given = Image(context.write_blob(blue.getvalue(), "image/png"))

    def left(strength: float) -> float:
        options = make_options({"strength": strength, "seed": 1})
        query = Query((Message("user", (Text("a red heart"), given)),), "emoji", options)
        (part,) = [o.part for o in backend.stream(query, context) if isinstance(o, Delta)]
        assert isinstance(part, Image)
        drawn = Picture.open(io.BytesIO(context.blobs[part.blob]))
        return apart(drawn, Picture.open(io.BytesIO(blue.getvalue())))

    assert left(0.1) < left(0.5) < left(1.0)


def test_the_weights_are_small_and_are_data() -> None:
    files = [file for file in WEIGHTS.rglob("*") if file.is_file()]
    assert {file.suffix for file in files} <= {".json", ".onnx", ".safetensors", ".md", ".png"}
    assert sum(file.stat().st_size for file in files if file.suffix == ".safetensors") < MOST_BYTES


def test_the_last_touch_smooths_surfaces_whitens_the_paper_and_keeps_edges() -> None:
    dice = np.random.default_rng(3)
    clean = np.ones((1, 3, 64, 64), np.float32)
    clean[:, :, 16:48, 16:48] = np.array([0.7, -0.6, -0.6], np.float32)[:, None, None]
    grainy = (clean + dice.normal(0, 0.05, clean.shape)).clip(-1, 1).astype(np.float32)
    touched = varnish(grainy)
    inside, paper = np.s_[:, :, 20:44, 20:44], np.s_[:, :, :12, :]
    assert (touched - clean)[inside].std() < (grainy - clean)[inside].std() / 1.5
    assert np.abs(touched[inside].mean((0, 2, 3)) - [0.7, -0.6, -0.6]).max() < 0.02
    assert (touched[paper] > 0.98).all()
    assert np.abs(touched - clean)[:, :, :, 14:18].max() < 0.2, "the edge has not spread"
    assert np.array_equal(varnish(touched[:1]), varnish(touched)[:1])
