"""A real voice: whole WAVs in the order of the sentences, whatever is asked of it."""

from __future__ import annotations

import io
import wave
from collections.abc import Iterator
from typing import Any

import pytest

from dask_workers.backends.hibari import HibariBackend
from mtor_kernel.protocol.account import RateCard
from mtor_kernel.protocol.backend import Delta, ModelSpec
from mtor_kernel.protocol.errors import BadInput, TooLarge, Unavailable, UnknownOption
from mtor_kernel.protocol.query import Modality, Query
from tests.dask_workers.desk import Desk, Said, ask

pytestmark = pytest.mark.slow

#: Over these the library itself stumbles: no number has so many digits, no letter becomes two.
HARD = ["9" * 50, "1" * 300, "İstanbul", "5İ 12345678901234567890 ſß ½ 3/4 ﬁ"]
ODD = [
    "3.14159",
    "$1.50, €20 & £3",
    "2024-03-01T12:00Z",
    "a@b.co/x?y=1",
    "IV, 21st, −5 °C",
    "…'\u2019—",
]
STRANGE = [
    "\x07\x1b[0m",
    "\u202eabc",
    "e\u0301cole",
    "🎉 party",
    "[word](/həl\u02c8O/)",
    "٣٤",
    "Привет",
]


def spec(**settings: Any) -> ModelSpec:
    return ModelSpec("hibari", Modality.SPEECH, "hibari", RateCard(free=True), settings=settings)


@pytest.fixture(scope="module")
def voice() -> Iterator[HibariBackend]:
    backend = HibariBackend(spec())
    assert backend.missing() == ""
    backend.load()
    yield backend
    backend.unload()


def seconds(desk: Desk, said: Said) -> list[float]:
    """The length of each sound, of which all have the same form."""
    found = []
    for part in said.audio:
        assert desk.mimes[part.blob] == part.mime == "audio/wav"
        with wave.open(io.BytesIO(desk.read_blob(part.blob))) as sound:
            assert (sound.getnchannels(), sound.getsampwidth()) == (1, 2)
            assert sound.getframerate() == 24_000
            found.append(sound.getnframes() / 24_000)
    return found


def test_each_sentence_is_a_sound_of_its_own(voice: HibariBackend) -> None:
    desk = Desk()
    said = ask(voice, Query.ask("Hello there. All hands are on deck! Are they?"), desk)
    lengths = seconds(desk, said)
    assert len(lengths) == 3
    assert lengths[1] > lengths[2]
    assert said.done.usage.characters == 45
    assert said.done.usage.audio_ms == pytest.approx(1000 * sum(lengths), abs=2)


def test_the_first_sentence_does_not_wait_for_the_others(voice: HibariBackend) -> None:
    desk = Desk()
    stream = voice.stream(Query.ask("This comes first. " * 100), desk)
    assert isinstance(next(iter(stream)), Delta)
    assert len(desk.blobs) == 1


def test_the_same_seed_gives_the_same_sound(voice: HibariBackend) -> None:
    once, again = (ask(voice, Query.ask("Once more.", seed=7)).audio for _ in range(2))
    assert once == again


def test_speed_makes_it_shorter_or_longer(voice: HibariBackend) -> None:
    def length(speed: float) -> int:
        return ask(voice, Query.ask("A calm sea.", speed=speed)).done.usage.audio_ms

    assert length(0.5) > 1.5 * length(1.0) > 2 * length(2.0)
    assert length(4.0) > 0


@pytest.mark.parametrize("text", HARD + ODD + STRANGE)
def test_numbers_and_odd_characters_do_not_stop_it(voice: HibariBackend, text: str) -> None:
    desk = Desk()
    assert sum(seconds(desk, ask(voice, Query.ask(f"{text} is that."), desk))) > 0


def test_what_it_cannot_say_is_refused(voice: HibariBackend) -> None:
    with pytest.raises(BadInput, match="nothing in it"):
        ask(voice, Query.ask("☃"))


def test_only_voices_in_the_package_are_taken_and_others_named(voice: HibariBackend) -> None:
    assert ask(voice, Query.ask("Hello.", voice="heart")).audio
    with pytest.raises(UnknownOption, match="no voice 'emma'; it has: heart"):
        ask(voice, Query.ask("Hello.", voice="emma"))


def test_another_language_is_refused(voice: HibariBackend) -> None:
    assert ask(voice, Query.ask("Hello.", language="en-GB")).audio
    with pytest.raises(UnknownOption, match="English only"):
        ask(voice, Query.ask("Hallo.", language="de"))


def test_a_text_that_is_too_long_is_refused(voice: HibariBackend) -> None:
    with pytest.raises(TooLarge, match="at most 4,096"):
        ask(voice, Query.ask("word " * 1100))


def test_a_cancel_waits_for_one_piece_of_a_giant_sentence(voice: HibariBackend) -> None:
    desk = Desk()
    stream = voice.stream(Query.ask("and then they went on " * 150), desk)
    next(iter(stream))
    desk.cancel()
    assert list(stream) == []
    assert len(desk.blobs) == 1


def test_a_voice_that_is_not_loaded_says_so() -> None:
    with pytest.raises(Unavailable, match="not in memory"):
        ask(HibariBackend(spec()), Query.ask("Hello."))
