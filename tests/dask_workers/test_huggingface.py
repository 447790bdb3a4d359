"""Hugging Face: what goes over the wire to an endpoint, and what comes back of it."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from dask_workers.backends.huggingface import HuggingFaceBackend
from mtor_kernel.protocol.account import RateCard
from mtor_kernel.protocol.backend import Delta, Done, ModelSpec
from mtor_kernel.protocol.errors import BackendFailed
from mtor_kernel.protocol.query import (
    Audio,
    Data,
    Image,
    Message,
    Modality,
    Query,
    Text,
    make_options,
)
from tests.dask_workers.contract import ContextDouble, Said, text_of, wav
from tests.dask_workers.services.huggingface import HuggingFaceService
from tests.dask_workers.services.service import Asked, Reply


@pytest.fixture
def service() -> Iterator[HuggingFaceService]:
    with HuggingFaceService() as service:
        yield service


def ask(
    service: HuggingFaceService,
    modality: Modality,
    place: str,
    query: Query,
    context: ContextDouble | None = None,
    **settings: Any,
) -> Said:
    entry = ModelSpec(
        "remote",
        modality,
        "huggingface",
        RateCard(free=True),
        settings={"url": service.url + place, "key_env": "", **settings},
    )
    backend = HuggingFaceBackend(entry)
    assert backend.missing() == ""
    backend.load()
    return list(backend.stream(query, context or ContextDouble()))


def heard(service: HuggingFaceService, **settings: Any) -> Said:
    context = ContextDouble()
    sound = Audio(context.write_blob(wav(), "audio/wav"), "audio/wav")
    query = Query((Message("user", (sound,)),))
    return ask(service, Modality.TRANSCRIPTION, "/hear", query, context, **settings)


def test_a_token_that_somebody_left_on_the_machine_goes_nowhere(
    service: HuggingFaceService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_of_somebody_else")
    ask(service, Modality.CHAT, "/v1", Query.ask("Hello"))
    assert "hf_of" not in str(service.next_asked().headers)


def test_options_of_a_chat_reach_the_endpoint(service: HuggingFaceService) -> None:
    query = Query.ask("Hello", max_tokens=5, seed=3, temperature=0.5, stop=["x"])
    said = ask(service, Modality.CHAT, "/v1", query)
    body = service.next_asked().json
    assert (body["max_tokens"], body["seed"], body["temperature"]) == (5, 3, 0.5)
    assert body["stop"] == ["x"]
    assert isinstance(said[-1], Done)
    assert said[-1].usage.output_tokens == 5
    assert said[-1].finish_reason == "length"


def test_a_picture_has_the_size_that_was_asked_for(service: HuggingFaceService) -> None:
    context = ContextDouble()
    options = make_options({"width": 48, "height": 32, "steps": 4, "seed": 1, "guidance": 0.5})
    query = Query((Message("user", (Text("a red heart"),)),), options=options)
    said = ask(service, Modality.IMAGE, "/draw", query, context)
    assert isinstance(said[0], Delta)
    assert isinstance(said[0].part, Image)
    drawn = PIL.Image.open(io.BytesIO(context.blobs[said[0].part.blob]))
    assert (drawn.format, drawn.size) == ("PNG", (48, 32))
    assert service.next_asked().json == {
        "inputs": "a red heart",
        "parameters": {
            "width": 48,
            "height": 32,
            "num_inference_steps": 4,
            "guidance_scale": 0.5,
            "seed": 1,
        },
    }
    assert isinstance(said[-1], Done)
    assert said[-1].usage.pixel_steps == 48 * 32 * 4


def test_what_is_heard_comes_in_segments_with_its_length(service: HuggingFaceService) -> None:
    said = heard(service)
    assert text_of(said) == " Hello there."
    assert isinstance(said[-2], Delta)
    assert isinstance(said[-2].part, Data)
    assert said[-2].part.value["segments"][0] == {"start": 0.0, "end": 0.5, "text": " Hello"}
    assert isinstance(said[-1], Done)
    assert (said[-1].usage.audio_ms, said[-1].usage.estimated) == (1000, False)


def test_an_endpoint_that_knows_no_times_is_sent_the_bare_recording() -> None:
    class Plain(HuggingFaceService):
        def reply(self, asked: Asked) -> Reply:
            assert asked.body == wav()
            return Reply([json.dumps({"text": "Hello."}).encode()])

    with Plain() as service:
        assert text_of(heard(service, timestamps=False)) == "Hello."


def test_a_model_that_gives_a_vector_for_each_token_is_told() -> None:
    class Tokens(HuggingFaceService):
        def reply(self, asked: Asked) -> Reply:
            return Reply([json.dumps([[[0.1, 0.2], [0.3, 0.4]]]).encode()])

    query = Query((Message("user", (Text("red apple"),)),))
    with Tokens() as service, pytest.raises(BackendFailed, match="1×2×2 numbers for 1 texts"):
        ask(service, Modality.EMBEDDING, "/embed", query)


def test_a_model_that_is_still_loading_says_for_how_long() -> None:
    class Loading(HuggingFaceService):
        def reply(self, asked: Asked) -> Reply:
            told = {"error": "Model x is currently loading", "estimated_time": 20.0}
            return Reply([json.dumps(told).encode()], status=503)

    with Loading() as service, pytest.raises(BackendFailed, match="in 20 s") as loading:
        ask(service, Modality.CHAT, "/v1", Query.ask("Hello"))
    assert loading.value.retry_after_seconds == 20
