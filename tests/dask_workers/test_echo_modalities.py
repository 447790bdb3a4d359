"""The echo answers in every modality, the same each time, and what it makes can be opened."""

from __future__ import annotations

import io
import math
import operator
import threading
import wave
from typing import Any

import pytest
from PIL import Image as Pillow

from dask_workers.backends.echo import EchoBackend
from dask_workers.backends.echo.pictures import Drawing, size_of
from dask_workers.backends.echo.sounds import heard, spoken
from mtor_kernel.protocol.account import RateCard, Usage
from mtor_kernel.protocol.backend import Delta, Done, ModelSpec, Step
from mtor_kernel.protocol.errors import BadInput
from mtor_kernel.protocol.ngram import MAX_PREVIEW_BYTES
from mtor_kernel.protocol.query import (
    Audio,
    Data,
    Image,
    Message,
    Modality,
    Options,
    Part,
    Query,
    Text,
)
from tests.dask_workers.desk import Desk

Said = list[Delta | Step | Done]


def ask(
    modality: Modality,
    *parts: Part,
    context: Desk | None = None,
    options: Options | None = None,
    **settings: Any,
) -> Said:
    spec = ModelSpec("echo", modality, "echo", RateCard(free=True), settings=settings)
    query = Query((Message("user", parts),), "echo", options or Options())
    return list(EchoBackend(spec).stream(query, context or Desk()))


def words(said: Said) -> str:
    return "".join(one.text for one in said if isinstance(one, Delta))


def parts(said: Said) -> list[Part]:
    return [one.part for one in said if isinstance(one, Delta) and one.part is not None]


def usage(said: Said) -> Usage:
    assert isinstance(said[-1], Done)
    return said[-1].usage


def picture(kind: str = "PNG", size: tuple[int, int] = (60, 40)) -> bytes:
    file = io.BytesIO()
    Pillow.new("RGB", size, "red").save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
def test_vision_says_how_large_what_it_was_sent_is(kind: str) -> None:
    context = Desk()
    blob = context.write_blob(picture(kind), f"image/{kind.lower()}")
    said = ask(Modality.VISION, Text("What is it?"), Image(blob), context=context)
    assert words(said) == "I was sent 1 picture: 60×40 (image/png). You asked: What is it?"
    (found,) = parts(said)
    assert isinstance(found, Data)
    assert (found.value["pictures"][0]["width"], found.value["pictures"][0]["height"]) == (60, 40)
    assert usage(said).output_tokens > 0


def test_vision_refuses_what_is_no_picture() -> None:
    context = Desk()
    blob = context.write_blob(b"not a picture", "image/png")
    with pytest.raises(BadInput, match="no picture"):
        ask(Modality.VISION, Text("?"), Image(blob), context=context)
    with pytest.raises(BadInput, match="no picture"):
        ask(Modality.VISION, Text("?"))


def test_a_webp_without_loss_has_a_size_too() -> None:
    file = io.BytesIO()
    Pillow.new("RGBA", (33, 21), (255, 0, 0, 9)).save(file, "WEBP", lossless=True)
    assert size_of(file.getvalue()) == (33, 21)


@pytest.mark.parametrize("cut", range(40))
def test_a_picture_that_breaks_off_has_no_size_or_its_own(cut: int) -> None:
    for kind in ("PNG", "JPEG", "GIF", "WEBP"):
        assert size_of(picture(kind)[:cut]) in (None, (60, 40))


def test_a_picture_is_drawn_in_steps_with_previews() -> None:
    context = Desk()
    options = Options(width=200, height=100, steps=5)
    *steps, drawn, done = ask(Modality.IMAGE, Text("a heart"), context=context, options=options)
    assert [one.fraction for one in steps if isinstance(one, Step)] == [0.2, 0.4, 0.6, 0.8]
    for one in steps:
        assert isinstance(one, Step)
        assert len(one.preview) <= MAX_PREVIEW_BYTES
        assert Pillow.open(io.BytesIO(one.preview)).size == (64, 32)
    assert isinstance(drawn, Delta)
    assert isinstance(drawn.part, Image)
    assert Pillow.open(io.BytesIO(context.blobs[drawn.part.blob])).size == (200, 100)
    assert isinstance(done, Done)
    assert (done.usage.images, done.usage.pixel_steps) == (1, 200 * 100 * 5)


def test_a_picture_depends_on_prompt_seed_and_given_picture_and_on_nothing_else() -> None:
    context = Desk()
    given = Image(context.write_blob(picture(), "image/png"))
    drawn = [
        parts(ask(Modality.IMAGE, *asked, context=context, options=options))
        for asked, options in (
            ((Text("a heart"),), Options()),
            ((Text("a heart"),), Options()),
            ((Text("a star"),), Options()),
            ((Text("a heart"),), Options(seed=2)),
            ((Text("a heart"), given), Options()),
        )
    ]
    assert drawn[0] == drawn[1]
    assert len({str(one) for one in drawn}) == 4


def test_a_drawing_comes_closer_to_what_it_will_be() -> None:
    drawing = Drawing(b"a heart")
    last = Pillow.open(io.BytesIO(drawing.at(1, 64, 64))).convert("RGB")

    def wrong(fraction: float) -> int:
        now = Pillow.open(io.BytesIO(drawing.at(fraction, 64, 64))).convert("RGB")
        return sum(a != b for a, b in zip(now.tobytes(), last.tobytes(), strict=True))

    assert wrong(0.1) > wrong(0.8) > wrong(1) == 0


def test_the_largest_picture_is_drawn_too() -> None:
    assert size_of(Drawing(b"wide").at(1, 4096, 16)) == (4096, 16)


def test_speech_is_one_sound_a_sentence_all_alike() -> None:
    context = Desk()
    said = ask(Modality.SPEECH, Text("Hello there. Who are you?\nBye"), context=context)
    sounds = parts(said)
    assert len(sounds) == 3
    total = 0.0
    for sound in sounds:
        assert isinstance(sound, Audio)
        with wave.open(io.BytesIO(context.blobs[sound.blob])) as file:
            assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 16_000)
            total += file.getnframes() / file.getframerate()
    assert usage(said).characters == len("Hello there. Who are you?\nBye")
    assert usage(said).audio_ms == pytest.approx(1000 * total, abs=3)


def test_faster_speech_is_shorter() -> None:
    slow, fast = (
        usage(ask(Modality.SPEECH, Text("one two three"), options=Options(speed=speed))).audio_ms
        for speed in (1.0, 2.0)
    )
    assert slow == pytest.approx(2 * fast, rel=0.05)


def test_transcription_says_how_long_it_heard_and_where_there_was_sound() -> None:
    context = Desk()
    content, milliseconds = spoken("tone " * 12)
    blob = context.write_blob(content, "audio/wav")
    said = ask(Modality.TRANSCRIPTION, Audio(blob), context=context, options=Options(language="de"))
    assert words(said).startswith(f"I heard {milliseconds / 1000:.1f} seconds. From 0.0 to 2.0")
    (found,) = parts(said)
    assert isinstance(found, Data)
    assert found.value["language"] == "de"
    assert found.value["duration"] == pytest.approx(milliseconds / 1000)
    assert "".join(one["text"] for one in found.value["segments"]).replace(" ", "") == words(
        said
    ).replace(" ", "")
    assert usage(said).audio_ms == milliseconds
    assert not usage(said).estimated


def test_silence_is_told_from_sound_and_a_strange_form_is_guessed() -> None:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(b"\0\0" * 8000 * 3)
    assert heard(file.getvalue()).segments == ["silence", "silence"]
    guess = heard(b"x" * 20_000)
    assert (guess.seconds, guess.guessed) == (5.0, True)


def test_transcription_of_nothing_is_refused() -> None:
    context = Desk()
    with pytest.raises(BadInput, match="empty"):
        ask(Modality.TRANSCRIPTION, Audio(context.write_blob(b"", "audio/wav")), context=context)
    with pytest.raises(BadInput, match="no recording"):
        ask(Modality.TRANSCRIPTION, Text("?"))


def test_each_text_has_one_vector_of_length_one_and_like_texts_lie_close() -> None:
    texts = ("the cat sat on the mat", "the cat lay on the mat", "stock prices fell sharply")
    said = ask(Modality.EMBEDDING, *map(Text, texts), dimensions=256)
    vectors = [part.value["embedding"] for part in parts(said) if isinstance(part, Data)]
    assert [len(vector) for vector in vectors] == [256] * 3
    assert [math.hypot(*vector) for vector in vectors] == pytest.approx([1.0] * 3)
    like, unlike = (sum(map(operator.mul, vectors[0], other)) for other in vectors[1:])
    assert like > 0.7 > 0.3 > unlike
    assert said == ask(Modality.EMBEDDING, *map(Text, texts), dimensions=256)
    assert usage(said).input_tokens == 16


def test_an_api_says_its_parameters_back() -> None:
    said = ask(
        Modality.API, Text(""), options=Options(parameters={"units": "metric", "city": "Rome"})
    )
    assert words(said) == "city = Rome\nunits = metric"
    (found,) = parts(said)
    assert isinstance(found, Data)
    assert found.value["parameters"] == {"city": "Rome", "units": "metric"}


@pytest.mark.parametrize("modality", list(Modality))
def test_a_cancel_ends_the_wait_for_the_next_piece(modality: Modality) -> None:
    context = Desk()
    blob = context.write_blob(picture(), "image/png")
    sound = context.write_blob(spoken("one two")[0], "audio/wav")
    told: Said = []
    thread = threading.Thread(
        target=lambda: told.extend(
            ask(modality, Text("a"), Image(blob), Audio(sound), context=context, delay=600.0)
        )
    )
    thread.start()
    context.cancel()
    thread.join(60)
    assert not thread.is_alive()
    assert told == []


@pytest.mark.parametrize("modality", list(Modality))
def test_faults_are_to_be_had_in_every_modality(modality: Modality) -> None:
    context = Desk()
    blob = context.write_blob(picture(), "image/png")
    sound = context.write_blob(spoken("one two")[0], "audio/wav")
    with pytest.raises(RuntimeError, match="told to fail"):
        ask(modality, Text("a"), Image(blob), Audio(sound), context=context, fail=True)
