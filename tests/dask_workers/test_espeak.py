"""eSpeak NG for real, where it is installed: many languages, and no way to its arguments."""

from __future__ import annotations

import io
import shutil
import wave
from pathlib import Path
from typing import Any

import pytest

from dask_workers.backends.espeak import EspeakBackend
from mtor_kernel.protocol.account import RateCard
from mtor_kernel.protocol.backend import ModelSpec
from mtor_kernel.protocol.errors import BackendFailed, Unavailable, UnknownOption
from mtor_kernel.protocol.query import Modality, Query
from tests.dask_workers.desk import Desk, ask

installed = pytest.mark.skipif(
    shutil.which("espeak-ng") is None, reason="the program espeak-ng is not installed"
)


def spec(**settings: Any) -> ModelSpec:
    return ModelSpec("robot", Modality.SPEECH, "espeak", RateCard(free=True), settings=settings)


@pytest.fixture
def robot() -> EspeakBackend:
    backend = EspeakBackend(spec())
    backend.load()
    return backend


def seconds(robot: EspeakBackend, text: str, **options: Any) -> list[float]:
    """The length of each sound that is made of a text."""
    desk = Desk()
    said = ask(robot, Query.ask(text, **options), desk)
    found = []
    for part in said.audio:
        with wave.open(io.BytesIO(desk.read_blob(part.blob))) as sound:
            assert sound.getparams()[:3] == (1, 2, 22_050)
            assert len(sound.readframes(10**9)) == 2 * sound.getnframes()
            found.append(sound.getnframes() / 22_050)
    assert said.done.usage.characters == len(text)
    assert said.done.usage.audio_ms == pytest.approx(1000 * sum(found), abs=2)
    return found


@installed
def test_each_sentence_is_a_sound_of_its_own(robot: EspeakBackend) -> None:
    lengths = seconds(robot, "Hello there. All hands are on deck, and the captain is asleep!")
    assert len(lengths) == 2
    assert 0.3 < lengths[0] < lengths[1] < 10


@installed
@pytest.mark.parametrize("language", ["de", "es", "fr", "ja", "pt-BR", "en", "EN-us"])
def test_it_speaks_many_languages(robot: EspeakBackend, language: str) -> None:
    assert sum(seconds(robot, "Uno, due, tre.", language=language)) > 0.3


@installed
def test_speed_and_timbre_are_heard(robot: EspeakBackend) -> None:
    assert seconds(robot, "A calm sea.", speed=0.5) > seconds(robot, "A calm sea.", speed=2.0)
    once = ask(robot, Query.ask("A calm sea.", voice="de")).audio
    assert once != ask(robot, Query.ask("A calm sea.", voice="de+f3")).audio


@installed
@pytest.mark.parametrize(
    "voice",
    ["klingon", "../../etc/passwd", "-w", "--stdin", "en -w /tmp/x", "en+../x", "en+", "mb/mb-de1"],
)
def test_a_voice_that_it_does_not_list_never_reaches_its_arguments(
    robot: EspeakBackend, voice: str
) -> None:
    with pytest.raises(UnknownOption, match=r"has no (voice|timbre)"):
        ask(robot, Query.ask("Hello", voice=voice))


@installed
@pytest.mark.parametrize(
    "text", ["-w sound.wav", "--help", "-f /etc/passwd", "--voices", "-- -v de"]
)
def test_a_text_that_looks_like_an_argument_is_said(
    robot: EspeakBackend, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert sum(seconds(robot, text)) > 0.3
    assert list(tmp_path.iterdir()) == []


@installed
def test_a_pause_that_the_text_asks_for_is_not_made(robot: EspeakBackend) -> None:
    assert sum(seconds(robot, 'One <break time="60s"/> two.')) < 20


@installed
def test_another_program_of_its_name_is_noticed() -> None:
    backend = EspeakBackend(spec(program="false"))
    with pytest.raises(BackendFailed, match="does not list its voices"):
        backend.load()


def test_where_it_is_not_installed_it_says_how_to() -> None:
    backend = EspeakBackend(spec(program="no-such-program"))
    assert "apt install espeak-ng" in backend.missing()
    with pytest.raises(Unavailable):
        backend.load()
    with pytest.raises(Unavailable):
        ask(backend, Query.ask("Hello"))
