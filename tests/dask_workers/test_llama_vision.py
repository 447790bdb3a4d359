"""A GGUF model with a projector is asked about pictures, and says what it lacks without one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dask_workers.backends.llama_cpp import LlamaCppBackend
from mtor_kernel.protocol.account import RateCard
from mtor_kernel.protocol.backend import Delta, Done, ModelSpec, Step
from mtor_kernel.protocol.errors import BackendFailed, BadInput
from mtor_kernel.protocol.query import Image, Message, Modality, Options, Query, Text
from tests.dask_workers.contract import ContextDouble
from tests.dask_workers.tiny_projector import PIECES, save_projector
from tests.modalities import picture

pytest.importorskip("xllamacpp")

#: How many numbers a token of SmolLM2-135M is.
SMOLLM2_WIDTH = 576


def seeing(**settings: Any) -> LlamaCppBackend:
    spec = ModelSpec("eyes", Modality.VISION, "llama_cpp", RateCard(free=True), settings=settings)
    return LlamaCppBackend(spec)


def test_without_its_projector_it_cannot_be_served(tmp_path: Path) -> None:
    model, projector = tmp_path / "model.gguf", tmp_path / "mmproj.gguf"
    model.touch()
    assert "settings.mmproj" in seeing(path=str(model)).missing()
    assert "settings.mmproj" in seeing(path=str(model), mmproj=str(projector)).missing()
    projector.touch()
    assert seeing(path=str(model), mmproj=str(projector)).missing() == ""


def test_pulled_weights_bring_their_projector(tmp_path: Path) -> None:
    eyes = seeing(weights="smolvlm-500m", data_dir=str(tmp_path))
    assert "mtor pull smolvlm-500m" in eyes.missing()


@pytest.fixture
def eyes(tmp_path: Path, smollm2: Path) -> Iterator[LlamaCppBackend]:
    """A model behind a projector that was never trained: it sees, and understands nothing."""
    projector = save_projector(tmp_path / "mmproj.gguf", SMOLLM2_WIDTH)
    backend = seeing(weights="smollm2", mmproj=str(projector))
    assert backend.missing() == ""
    backend.load()
    yield backend
    backend.unload()


def ask(eyes: LlamaCppBackend, *pictures: bytes) -> list[Delta | Step | Done]:
    context = ContextDouble()
    parts = [Image(context.write_blob(one, "image/png"), "image/png") for one in pictures]
    turn = Message("user", (Text("What is on it?"), *parts))
    options = Options(max_tokens=8, temperature=0.0, seed=1)
    return list(eyes.stream(Query((turn,), "eyes", options), context))


@pytest.mark.slow
def test_a_picture_goes_through_the_projector_and_its_pieces_are_charged(
    eyes: LlamaCppBackend,
) -> None:
    tokens = []
    for count in range(3):
        *_, done = ask(eyes, *[picture()] * count)
        assert isinstance(done, Done)
        assert done.usage.output_tokens == 8
        tokens.append(done.usage.input_tokens)
    assert [more - tokens[0] for more in tokens] == [0, PIECES, 2 * PIECES]


@pytest.mark.slow
def test_what_is_no_picture_is_the_users_to_send_again_and_the_model_lives(
    eyes: LlamaCppBackend,
) -> None:
    with pytest.raises(BadInput):
        ask(eyes, b"\x89PNG\r\n\x1a\n and then nothing of the kind")
    assert isinstance(ask(eyes, picture())[-1], Done)


@pytest.mark.slow
def test_a_projector_that_is_none_is_said_to_be_none(tmp_path: Path, smollm2: Path) -> None:
    broken = tmp_path / "mmproj.gguf"
    broken.write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(BackendFailed, match="could not load"):
        seeing(weights="smollm2", mmproj=str(broken)).load()
