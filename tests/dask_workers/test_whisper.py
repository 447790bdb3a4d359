"""A real Whisper hears real speech, which a synthetic voice says."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from dask_workers.backends.whisper import WhisperBackend
from dask_workers.heard import PIECE_SECONDS, RATE, pieces
from dask_workers.weights import pull
from mtor_kernel.protocol.account import RateCard
from mtor_kernel.protocol.backend import Delta, ModelSpec, Step
from mtor_kernel.protocol.errors import (
    BackendFailed,
    BadInput,
    TooLarge,
    Unavailable,
    UnknownOption,
)
from mtor_kernel.protocol.query import Audio, Message, Modality, Query, Text, make_options
from tests.dask_workers.desk import Desk, Said, ask, blob_id
from tests.recordings import encoded, joined, silence, tone
from tests.voice import STORY, VOICE_RATE, spoken
from tests.wer import word_error_rate, words


def spec(**settings: Any) -> ModelSpec:
    return ModelSpec(
        "whisper", Modality.TRANSCRIPTION, "whisper", RateCard(free=True), settings=settings
    )


@pytest.fixture(scope="module")
def whisper() -> Iterator[WhisperBackend]:
    pull("whisper-tiny-en")
    backend = WhisperBackend(spec())
    assert backend.missing() == ""
    backend.load()
    yield backend
    backend.unload()


def listen(content: bytes, **options: Any) -> Query:
    return Query((Message("user", (Audio(blob_id(content)),)),), "whisper", make_options(options))


def hear(whisper: WhisperBackend, content: bytes, **options: Any) -> Said:
    return ask(whisper, listen(content, **options), Desk(content))


def value(said: Said) -> dict[str, Any]:
    (part,) = said.data
    found: dict[str, Any] = part.value
    return found


@pytest.mark.slow
def test_what_is_said_is_written_down(whisper: WhisperBackend) -> None:
    sound = spoken("The quick brown fox jumps over the lazy dog.")
    said = hear(whisper, encoded(sound, VOICE_RATE))
    assert word_error_rate("The quick brown fox jumps over the lazy dog.", said.text) == 0
    found = value(said)
    assert found["language"] == "en"
    assert found["duration"] == pytest.approx(len(sound) / VOICE_RATE, abs=0.01)
    assert said.done.usage.audio_ms == round(1000 * found["duration"])
    assert isinstance(said.pieces[-2], Delta)
    assert said.pieces[-2].part is not None


@pytest.mark.slow
def test_segments_come_in_order_with_their_times_and_make_the_text(
    whisper: WhisperBackend,
) -> None:
    said = hear(whisper, encoded(spoken(STORY), VOICE_RATE, "mp3", "libmp3lame"))
    found = value(said)
    segments = found["segments"]
    assert len(segments) > 5
    assert " ".join(segment["text"] for segment in segments) == said.text
    assert word_error_rate(STORY, said.text) < 0.15
    times = [time for segment in segments for time in (segment["start"], segment["end"])]
    assert times == sorted(times)
    assert 0 <= times[0] < 1
    assert found["duration"] - 2 < times[-1] <= found["duration"]
    assert sum(bool(one.text) for one in said.pieces if isinstance(one, Delta)) == len(segments)


@pytest.mark.slow
def test_silence_is_cut_out_and_times_stay_those_of_the_recording(
    whisper: WhisperBackend,
) -> None:
    one, two = spoken("All hands on deck."), spoken("The captain is asleep.")
    gap = silence(70, VOICE_RATE)
    said = hear(whisper, encoded(joined(gap, one, gap, two, gap), VOICE_RATE, "flac", "flac"))
    first, second = value(said)["segments"]
    assert words(first["text"]) == ["all", "hands", "on", "deck"]
    assert first["start"] == pytest.approx(70, abs=1)
    assert second["start"] == pytest.approx(140 + len(one) / VOICE_RATE, abs=1)
    # What is charged is the length of the recording, its silence too.
    assert said.done.usage.audio_ms > 210_000
    assert [one for one in said.pieces if isinstance(one, Step)] != []


@pytest.mark.slow
def test_a_long_recording_is_heard_in_pieces_that_miss_and_repeat_nothing(
    whisper: WhisperBackend,
) -> None:
    story = " ".join([STORY] * 4)
    sound = spoken(story)
    samples = (
        np.interp(np.arange(0, len(sound), VOICE_RATE / RATE), np.arange(len(sound)), sound) / 32768
    ).astype(np.float32)
    found = list(pieces(samples))
    assert len(found) > 2
    assert max(len(piece.samples) for piece in found) <= PIECE_SECONDS * RATE
    spans = [edge for piece in found for span in piece.spans for edge in span]
    assert spans == sorted(spans)
    said = hear(whisper, encoded(sound, VOICE_RATE))
    assert word_error_rate(story, said.text) < 0.15
    fractions = [one.fraction for one in said.pieces if isinstance(one, Step)]
    assert fractions == sorted(fractions)
    assert len(fractions) == len(found)


@pytest.mark.slow
@pytest.mark.parametrize("sound", [silence(5), tone(5), (tone(5) // 1000)])
def test_where_nobody_speaks_the_transcript_is_empty_and_says_so(
    whisper: WhisperBackend, sound: np.ndarray
) -> None:
    said = hear(whisper, encoded(sound))
    assert said.text == ""
    assert value(said) == {"language": "en", "duration": 5.0, "segments": []}
    assert said.notes == ["No speech was heard in 5.0 seconds of sound."]
    assert said.done.usage.audio_ms == 5000


@pytest.mark.slow
def test_what_is_no_recording_is_refused(whisper: WhisperBackend) -> None:
    with pytest.raises(BadInput, match="no recording"):
        hear(whisper, b"To be or not to be." * 100)
    with pytest.raises(BadInput, match="one recording, and nothing else"):
        ask(whisper, Query.ask("Hello"))
    both = Query((Message("user", (Text("Hear!"), Audio("a" * 64))),))
    with pytest.raises(BadInput, match="nothing else"):
        ask(whisper, both)


@pytest.mark.slow
def test_a_recording_above_the_limit_is_refused_with_its_figure() -> None:
    pull("whisper-tiny-en")
    backend = WhisperBackend(msgspec.structs.replace(spec(), max_audio_seconds=10))
    backend.load()
    with pytest.raises(TooLarge, match="longer than 10 seconds"):
        hear(backend, encoded(silence(11)))
    backend.unload()


@pytest.mark.slow
def test_a_language_that_the_model_does_not_hear_is_refused(whisper: WhisperBackend) -> None:
    sound = encoded(spoken("Good morning."), VOICE_RATE)
    assert "morning" in hear(whisper, sound, language="en-US").text
    with pytest.raises(UnknownOption, match="English only, not 'de'"):
        hear(whisper, sound, language="de")


@pytest.mark.slow
def test_words_have_their_times_where_the_operator_wants_them() -> None:
    pull("whisper-tiny-en")
    backend = WhisperBackend(spec(words=True))
    backend.load()
    (segment,) = value(hear(backend, encoded(spoken("Beam me up."), VOICE_RATE)))["segments"]
    assert [words(word["text"]) for word in segment["words"]] == [["beam"], ["me"], ["up"]]
    assert all(word["start"] <= word["end"] for word in segment["words"])
    backend.unload()


@pytest.mark.slow
def test_a_cancel_does_not_wait_for_the_piece_that_is_computed(whisper: WhisperBackend) -> None:
    content = encoded(spoken(" ".join([STORY] * 4)), VOICE_RATE)
    desk, got = Desk(content), []
    stream = whisper.stream(listen(content), desk)
    got.append(next(iter(stream)))
    # The next piece takes a second or more: it is waited for, and then it is not.
    reading = threading.Thread(target=lambda: got.extend(stream))
    threading.Timer(0.2, desk.cancel).start()
    reading.start()
    reading.join(60)
    assert not reading.is_alive()
    assert not any(isinstance(one, Delta) and one.part for one in got)
    # And the model is there for the next query.
    assert "morning" in hear(whisper, encoded(spoken("Good morning."), VOICE_RATE)).text


@pytest.mark.slow
def test_a_folder_of_ones_own_is_taken_and_its_faults_are_named(tmp_path: Path) -> None:
    found = pull("whisper-tiny-en")
    own = WhisperBackend(spec(path=str(found), device="cpu", compute_type="float32"))
    assert own.missing() == ""
    own.load()
    assert "morning" in hear(own, encoded(spoken("Good morning."), VOICE_RATE)).text
    own.unload()
    own.unload()
    with pytest.raises(Unavailable):
        hear(own, b"")
    for name in ("model.bin", "config.json", "vocabulary.txt"):
        (tmp_path / name).write_text("{}")
    broken = WhisperBackend(spec(path=str(tmp_path)))
    assert "holds no tokenizer.json" in broken.missing()
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(BackendFailed, match="no Whisper model"):
        broken.load()


def test_weights_that_were_not_pulled_name_the_command(tmp_path: Path) -> None:
    pytest.importorskip("faster_whisper")
    assert "mtor pull whisper-tiny-en" in WhisperBackend(spec(data_dir=str(tmp_path))).missing()
