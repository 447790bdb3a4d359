"""The training of the emoji model: what it learns from, and that it goes on where it stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Picture

from dask_workers.emoji.codec import CELLS, FIGURES, SIDE, Codec
from dask_workers.emoji.reader import TOKENS, WIDTH
from dask_workers.emoji.sketch import Sketch
from dask_workers.training.icons import Icon, colour, read


def flags(count: int) -> Any:
    """Pictures of two colours, as the code takes them."""
    dice = np.random.default_rng(0)
    colours = dice.uniform(-1, 1, (count, 2, 3, 1, 1)).astype(np.float32)
    pictures = np.repeat(np.repeat(colours[:, 0], SIDE, 2), SIDE, 3)
    pictures[:, :, SIDE // 2 + 2 :] = colours[:, 1]
    return pictures


def test_the_code_of_pictures_loses_little_and_is_even() -> None:
    pictures = flags(64)
    codec = Codec.fit(pictures)
    figures = codec.encode(pictures)
    assert figures.shape == (64, FIGURES, CELLS, CELLS)
    assert np.abs(codec.decode(figures) - pictures).max() < 0.01
    assert np.mean(figures**2) == pytest.approx(1, rel=0.05)


def test_the_code_survives_being_saved(tmp_path: Path) -> None:
    codec = Codec.fit(flags(64))
    codec.save(tmp_path / "codec.safetensors")
    again = Codec.load(tmp_path / "codec.safetensors")
    assert all(np.array_equal(a, b) for a, b in zip(codec, again, strict=True))


def test_pictures_of_any_size_go_in_and_come_out() -> None:
    codec = Codec.fit(flags(64))
    figures = codec.read([Picture.new("L", (300, 20), 128), Picture.new("RGBA", (64, 64))])
    assert [picture.size for picture in codec.write(figures, 40, 24)] == [(40, 24)] * 2


def test_captions_are_the_name_in_other_words_and_what_else_it_is_called() -> None:
    icon = Icon("red-apple", "food-drink", "", ("apple", "fruit", "red"))
    captions = icon.captions()
    assert {"red apple", "a red apple", "red apple emoji", "red apple, fruit"} <= set(captions)
    assert Icon("eye", "people-body", "").captions()[1] == "an eye"
    assert "" not in Icon("eye", "people-body", "").captions()


def test_what_a_picture_is_called_by_others_and_its_colour_are_captions_too() -> None:
    captions = Icon("automobile", "travel-places", "", ("car", "vehicle"), ("sedan",)).captions(
        "red"
    )
    assert {"a car", "sedan", "a sedan", "a red automobile", "a red car"} <= set(captions)
    assert "a red red heart" not in Icon("red-heart", "symbols", "").captions("red")


def test_a_picture_has_the_colour_that_most_of_it_has_and_white_does_not_count() -> None:
    picture = np.ones((3, SIDE, SIDE), np.float32)
    assert colour(picture) == ""
    picture[:, :20, :20] = np.array([0.9, -0.8, -0.8], np.float32)[:, None, None]
    assert colour(picture) == "red"


@pytest.mark.slow
def test_a_sketch_shows_what_it_was_taught_and_of_nothing_shows_nothing(tmp_path: Path) -> None:
    import torch

    from dask_workers.training.sketch import coarse, teach

    pictures = torch.from_numpy(flags(4))
    whole = torch.randn(4, WIDTH, generator=torch.Generator().manual_seed(0))
    taught = teach(whole, torch.arange(4), coarse(pictures), torch.ones(4), steps=150)
    taught.save(tmp_path / "sketch.safetensors")
    sketch = Sketch.load(tmp_path / "sketch.safetensors")
    drawn = sketch(whole.numpy())
    wanted = coarse(pictures).reshape(4, 3, CELLS, CELLS).numpy()
    apart = np.abs(drawn[:, None] - wanted[None]).mean((2, 3, 4))
    assert apart.argmin(1).tolist() == [0, 1, 2, 3]
    assert not sketch(np.zeros((1, WIDTH), np.float32)).any()
    assert np.abs(drawn).max() <= 1


def test_an_archive_that_is_not_the_published_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "icons.tgz").write_bytes(b"something else")
    with pytest.raises(SystemExit, match="npm pack @iconify-json/fluent-emoji-flat"):
        read(tmp_path / "icons.tgz")


class FewLessons:
    """Lessons from sixteen flags, whose captions are noise."""

    def __init__(self) -> None:
        import torch

        pictures = flags(16)
        self.codec = Codec.fit(pictures)
        self._figures = torch.from_numpy(self.codec.encode(pictures))
        dice = torch.Generator().manual_seed(0)
        self._whole = torch.randn(16, WIDTH, generator=dice)
        self._tokens = torch.randn(16, TOKENS, WIDTH, generator=dice)
        self.sketch = Sketch(
            {
                "0.weight": np.random.default_rng(0).normal(0, 0.05, (3 * CELLS**2, WIDTH)),
                "0.bias": np.zeros(3 * CELLS**2),
            }
        )

    def draw(self, count: int, dice: Any) -> Any:
        import torch

        which = torch.randint(0, 16, (count,), generator=dice)
        whole = self._whole[which]
        sketches = torch.from_numpy(self.sketch(whole.numpy()))
        return self._figures[which], whole, self._tokens[which], sketches


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_a_training_that_was_stopped_goes_on_as_if_it_had_not(tmp_path: Path) -> None:
    import torch

    from dask_workers.training.emoji import Training

    def begun() -> Training:
        return Training(tmp_path, FewLessons(), "cpu", seed=0)  # type: ignore[arg-type]  # a double

    whole, stopped = begun(), begun()
    for _ in range(4):
        whole.learn(0.1, batch=4)
    for _ in range(2):
        stopped.learn(0.1, batch=4)
    stopped.save()
    goes_on = begun()
    goes_on.resume(again=False)
    for _ in range(2):
        goes_on.learn(0.1, batch=4)
    assert goes_on.step == whole.step == 4
    for mine, theirs in zip(goes_on.mean.parameters(), whole.mean.parameters(), strict=True):
        assert torch.allclose(mine, theirs, atol=1e-6)
    anew = begun()
    anew.resume(again=True)
    assert (anew.step, anew.run_steps) == (2, 0)


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_what_it_saves_is_what_both_pipelines_read(tmp_path: Path, minilm: Path) -> None:
    import torch

    from dask_workers.backends.minilm import MiniLM
    from dask_workers.emoji.light import LightPipeline
    from dask_workers.emoji.pipeline import EmojiPipeline
    from dask_workers.training.emoji import Training

    encoder = MiniLM(minilm)
    training = Training(tmp_path, FewLessons(), "cpu", seed=0)  # type: ignore[arg-type]  # a double
    training.learn(0.1, batch=2)
    training.show(encoder)
    start = np.random.default_rng(0).standard_normal((1, FIGURES, CELLS, CELLS), np.float32)
    light = LightPipeline(tmp_path / "model", encoder)
    real = EmojiPipeline.open(tmp_path / "model", encoder)
    (ours,) = light(["a flag"], num_inference_steps=2, latents=start).images
    (theirs,) = real(["a flag"], num_inference_steps=2, latents=torch.from_numpy(start)).images
    assert np.abs(np.asarray(ours, int) - np.asarray(theirs, int)).mean() < 0.5
