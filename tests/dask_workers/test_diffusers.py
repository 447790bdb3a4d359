"""Pictures by real pipelines of diffusers, tiny and untrained: the words mean nothing to them."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Picture

from dask_workers.backends.diffusers import DiffusersBackend
from dask_workers.discovery import discover
from dask_workers.drawing.artist import PipelineArtist
from dask_workers.drawing.orders import Manner, Order
from dask_workers.drawing.studio import Drawing, Studio
from dask_workers.models import Model
from mtor_kernel.protocol.account import RateCard, Usage
from mtor_kernel.protocol.backend import Delta, Done, ModelSpec, Step
from mtor_kernel.protocol.errors import BadInput, RealmError, TooLarge, UnknownOption
from mtor_kernel.protocol.query import (
    Audio,
    Image,
    Message,
    Modality,
    Options,
    Part,
    Query,
    Text,
    make_options,
)
from tests.dask_workers.contract import ContextDouble, png, wav
from tests.dask_workers.tiny_pipeline import save_tiny_pipeline

pytestmark = pytest.mark.slow

DEFAULTS = Options(width=64, height=64, steps=4, guidance=3.0)


def spec(slots: int = 1, **settings: Any) -> ModelSpec:
    return ModelSpec(
        "tiny",
        Modality.IMAGE,
        "diffusers",
        RateCard(free=True),
        slots=slots,
        max_steps=500,
        defaults=DEFAULTS,
        settings={"n_threads": 1, "preview_every": 2, "device": "cpu", **settings},
    )


@pytest.fixture(scope="session")
def tiny_pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_pipeline(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def backend(tiny_pipeline: Path) -> Iterator[DiffusersBackend]:
    made = DiffusersBackend(spec(pipeline=str(tiny_pipeline)))
    made.load()
    yield made
    made.unload()


def ask(backend: DiffusersBackend, *parts: Part, **options: Any) -> tuple[list[Any], ContextDouble]:
    context = ContextDouble()
    said = said_by(backend, context, *(parts or (Text("a red heart"),)), **options)
    return said, context


def said_by(
    backend: DiffusersBackend, context: ContextDouble, *parts: Part, **options: Any
) -> list[Any]:
    query = Query((Message("user", parts),), "tiny", make_options(options))
    return list(backend.stream(query, context))


def picture_of(said: list[Any], context: ContextDouble) -> Picture.Image:
    (part,) = [one.part for one in said if isinstance(one, Delta)]
    assert isinstance(part, Image)
    return Picture.open(io.BytesIO(context.blobs[part.blob]))


def test_progress_then_a_picture_then_what_it_took(backend: DiffusersBackend) -> None:
    said, context = ask(backend, seed=1)
    *steps, delta, done = said
    assert [step.note for step in steps] == [f"step {n} of 4, seed 1" for n in range(1, 5)]
    assert done == Done(Usage(images=1, pixel_steps=64 * 64 * 4))
    assert isinstance(delta, Delta)
    assert delta.tokens == 0
    assert picture_of(said, context).size == (64, 64)


def test_previews_are_small_pictures_every_few_steps(backend: DiffusersBackend) -> None:
    said, _ = ask(backend, steps=6, width=256, height=128)
    steps = [one for one in said if isinstance(one, Step)]
    shown = [number for number, step in enumerate(steps, start=1) if step.preview]
    assert shown == [2, 4]
    for number in shown:
        preview = steps[number - 1].preview
        assert len(preview) <= 48 * 1024
        wide, high = Picture.open(io.BytesIO(preview)).size
        assert wide == 2 * high
        assert wide <= 128


def test_the_same_seed_gives_the_same_picture_and_another_seed_another(
    backend: DiffusersBackend,
) -> None:
    def drawn(**options: Any) -> bytes:
        return picture_of(*ask(backend, **options)).tobytes()

    assert drawn(seed=1) == drawn(seed=1)
    assert drawn(seed=1) != drawn(seed=2)
    assert drawn() != drawn()


def test_words_to_keep_out_and_guidance_change_the_picture(backend: DiffusersBackend) -> None:
    plain = picture_of(*ask(backend, seed=1)).tobytes()
    assert picture_of(*ask(backend, seed=1, negative_prompt="blue")).tobytes() != plain
    assert picture_of(*ask(backend, seed=1, guidance=9.0)).tobytes() != plain


def test_a_picture_begins_from_a_picture(backend: DiffusersBackend) -> None:
    context = ContextDouble()
    red = Image(context.write_blob(png(32, 32), "image/png"))
    words = Text("a heart")
    said = said_by(backend, context, words, red, strength=0.5, seed=1)
    assert picture_of(said, context).size == (64, 64)
    assert said[-1].usage.pixel_steps == 64 * 64 * 2
    other = said_by(backend, context, words, red, strength=1.0, seed=1)
    assert picture_of(other, context).tobytes() != picture_of(said, context).tobytes()


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"width": 100}, UnknownOption),
        ({"height": 4088, "width": 4088}, TooLarge),
        ({"strength": 0.5}, UnknownOption),
    ],
)
def test_what_cannot_be_drawn_is_refused_with_a_reason(
    backend: DiffusersBackend, options: dict[str, Any], kind: type[RealmError]
) -> None:
    with pytest.raises(kind):
        ask(backend, **options)


def test_a_picture_that_another_program_would_have_to_draw_is_refused(
    backend: DiffusersBackend,
) -> None:
    file = io.BytesIO()
    Picture.new("RGB", (8, 8)).save(file, "EPS")  # Pillow hands these to Ghostscript
    context = ContextDouble()
    given = Image(context.write_blob(file.getvalue(), "image/png"))
    with pytest.raises(BadInput, match="send PNG, JPEG, WebP"):
        said_by(backend, context, Text("a heart"), given)


def test_a_file_that_is_no_picture_is_refused(backend: DiffusersBackend) -> None:
    context = ContextDouble()
    broken = Image(context.write_blob(b"GIF89a and then nothing", "image/gif"), "image/gif")
    with pytest.raises(BadInput, match="PNG"):
        said_by(backend, context, Text("a heart"), broken)
    sound = Audio(context.write_blob(wav(), "audio/wav"))
    with pytest.raises(BadInput):
        said_by(backend, context, Text("a heart"), sound)


def test_closing_the_stream_breaks_the_drawing_off_and_the_next_is_drawn(
    backend: DiffusersBackend,
) -> None:
    context = ContextDouble()
    query = Query((Message("user", (Text("a heart"),)),), "tiny", Options(steps=500))
    stream = backend.stream(query, context)
    assert isinstance(next(iter(stream)), Step)
    stream.close()  # type: ignore[attr-defined]  # a generator
    assert isinstance(ask(backend)[0][-1], Done)


def test_a_cancel_is_heeded_between_two_steps(backend: DiffusersBackend) -> None:
    context = ContextDouble()
    query = Query((Message("user", (Text("a heart"),)),), "tiny", Options(steps=500))
    said = []
    for one in backend.stream(query, context):
        said.append(one)
        context.cancel()
    assert len(said) < 20
    assert not any(isinstance(one, Done) for one in said)


class Watched:
    """Puts itself into a network's way: notes the size of each batch, and what does not fit.

    Of what did not fit it notes too whether it was still there at the next call.
    """

    def __init__(self, pipeline: Any, fits: int = 1000) -> None:
        self.sizes: list[int] = []
        self.fits = fits
        self.freed: list[bool] = []
        self._too_large: weakref.ref[Any] | None = None
        self.began, self.may_go_on = threading.Event(), threading.Event()
        pipeline.unet.register_forward_pre_hook(self._look, with_kwargs=True)

    def _look(self, _: Any, args: tuple[Any, ...], __: dict[str, Any]) -> None:
        import torch

        self.began.set()
        assert self.may_go_on.wait(60)
        self.sizes.append(len(args[0]) // 2)  # with guidance every order is there twice
        if self._too_large is not None:
            self.freed.append(self._too_large() is None)
            self._too_large = None
        if self.sizes[-1] > self.fits:
            too_large = torch.zeros(1)
            self._too_large = weakref.ref(too_large)
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9000 GiB.")


class Sitting:
    """A studio with a real pipeline, whose first drawing waits until it is let go on."""

    def __init__(self, folder: Path, fits: int = 1000) -> None:
        from diffusers import DiffusionPipeline

        pipeline = DiffusionPipeline.from_pretrained(folder, low_cpu_mem_usage=False)
        pipeline.set_progress_bar_config(disable=True)
        self.watched = Watched(pipeline, fits)
        self.studio = Studio(PipelineArtist(pipeline, 0), most=4)

    def draw(
        self, *orders: Order, contexts: Sequence[ContextDouble] = ()
    ) -> list[bytes | Exception | None]:
        """Draw the first order alone and, while it is drawn, have the others come together.

        One that was cancelled has drawn nothing: ``None``.
        """
        drawn: dict[int, bytes | Exception | None] = {}
        asked = contexts or [ContextDouble() for _ in orders]

        def visit(place: int, order: Order) -> None:
            try:
                last = [*self.studio.visit(order, asked[place])][-1:]
                drawn[place] = next((one.png for one in last if isinstance(one, Drawing)), None)
            except Exception as error:  # noqa: BLE001 - looked at by the test
                drawn[place] = error

        threads = [
            threading.Thread(target=visit, args=placed, daemon=True) for placed in enumerate(orders)
        ]
        threads[0].start()
        assert self.watched.began.wait(60)
        for thread in threads[1:]:
            thread.start()
        with self.studio._changed:
            assert self.studio._changed.wait_for(self._all_here(len(orders)), 60)
        self.watched.may_go_on.set()
        for thread in threads:
            thread.join(60)
        return [drawn[place] for place in range(len(orders))]

    def _all_here(self, count: int) -> Callable[[], bool]:
        return lambda: len(self.studio._waiting) == count - 1


def order(seed: int) -> Order:
    return Order("a heart", Manner(64, 64, 2, 3.0), seed)


@pytest.fixture
def sit(tiny_pipeline: Path) -> Iterator[Any]:
    sittings: list[Sitting] = []

    def make(fits: int = 1000) -> Sitting:
        sittings.append(Sitting(tiny_pipeline, fits))
        return sittings[-1]

    yield make
    for sitting in sittings:
        sitting.watched.may_go_on.set()
        sitting.studio.close()


def test_two_that_wait_are_one_call_of_the_network_and_keep_their_own_seeds(sit: Any) -> None:
    together = sit()
    first, second, third = together.draw(order(1), order(2), order(3))
    assert together.watched.sizes == [1, 1, 2, 2]
    assert len({first, second, third}) == 3
    alone = sit().draw(order(2))
    assert _likeness(alone[0], second) < 2.0


def test_out_of_memory_halves_the_batch(sit: Any) -> None:
    sitting = sit(fits=1)
    drawn = sitting.draw(order(1), order(2), order(3))
    assert all(isinstance(one, bytes) for one in drawn)
    assert sitting.watched.sizes == [1, 1, 2, 1, 1, 1, 1]
    assert sitting.watched.freed == [True]


def test_of_several_drawn_together_one_that_is_cancelled_ends_alone(sit: Any) -> None:
    sitting = sit()
    contexts = [ContextDouble() for _ in range(3)]
    leaves = contexts[1]
    pipeline = sitting.studio._artist._from_words

    def cancel(_: Any, args: tuple[Any, ...], __: dict[str, Any]) -> None:
        if len(args[0]) > 2 and not leaves.cancelled:
            leaves.cancel()

    pipeline.unet.register_forward_pre_hook(cancel, with_kwargs=True)
    first, gone, stayed = sitting.draw(order(1), order(2), order(3), contexts=contexts)
    assert gone is None
    assert isinstance(first, bytes)
    assert sitting.watched.sizes == [1, 1, 2, 2]
    (alone,) = sit().draw(order(3))
    assert _likeness(alone, stayed) < 2.0


def test_to_unload_gives_the_pipeline_back(tiny_pipeline: Path) -> None:
    made = DiffusersBackend(spec(pipeline=str(tiny_pipeline)))
    made.load()
    assert made._studio is not None
    artist = made._studio._artist
    kept = weakref.ref(artist._from_words.unet)  # type: ignore[attr-defined]  # a pipeline's
    said_by(made, ContextDouble(), Text("a heart"))
    made.unload()
    assert kept() is None


def test_out_of_memory_for_one_is_told_as_such_and_frees_the_pipeline(tiny_pipeline: Path) -> None:
    model = Model(spec(), _Starved(tiny_pipeline), lambda: None)
    with pytest.raises(MemoryError), model.in_use() as backend:
        list(backend.stream(Query.ask("a heart", "tiny"), ContextDouble()))
    assert not model.loaded
    model.backend.fits = 1000
    with model.in_use() as backend:
        assert isinstance(list(backend.stream(Query.ask("a", "tiny"), ContextDouble()))[-1], Done)
    model.unload()


class _Starved(DiffusersBackend):
    """A backend on a machine with too little memory."""

    def __init__(self, folder: Path) -> None:
        super().__init__(spec(pipeline=str(folder)))
        self.fits = 0

    def load(self) -> None:
        super().load()
        assert self._studio is not None
        watched = Watched(self._studio._artist._from_words, self.fits)
        watched.may_go_on.set()


def _likeness(one: bytes, other: bytes) -> float:
    """Return how far two pictures are apart, on average, of 255."""
    import numpy as np

    left, right = (np.asarray(Picture.open(io.BytesIO(png)), float) for png in (one, other))
    return float(np.abs(left - right).mean())


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "names no pipeline"),
        ({"pipeline": "/nowhere/at/all"}, "no pipeline /nowhere/at/all on this machine"),
        ({"pipeline": "somebody/something"}, "fetches none by itself"),
        ({"pipeline": os.fspath(Path(__file__).parent)}, "model_index.json"),
        ({"weights": "nothing-such"}, "no built-in weights"),
    ],
)
def test_a_pipeline_that_is_not_here_is_a_sentence(settings: dict[str, str], said: str) -> None:
    (found,) = discover([spec(**settings)])
    assert said in found.missing


def test_importing_the_backend_imports_nothing_heavy() -> None:
    code = (
        "import sys, dask_workers.backends.diffusers;"
        "print([n for n in ('torch', 'diffusers', 'transformers', 'PIL', 'numpy')"
        " if n in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
