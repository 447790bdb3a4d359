"""What the built-in voice says, the built-in ear understands."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from dask_workers.backends.espeak import EspeakBackend
from dask_workers.backends.hibari import HibariBackend
from dask_workers.backends.whisper import WhisperBackend
from mtor_kernel.protocol.account import RateCard
from mtor_kernel.protocol.backend import Backend, ModelSpec
from mtor_kernel.protocol.query import Message, Modality, Query
from tests.dask_workers.desk import Desk, ask
from tests.voice import SENTENCES
from tests.wer import word_errors, words

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def whisper(whisper_tiny_en: object) -> Iterator[WhisperBackend]:
    backend = WhisperBackend(
        ModelSpec("whisper", Modality.TRANSCRIPTION, "whisper", RateCard(free=True))
    )
    backend.load()
    yield backend
    backend.unload()


def error_rate(voice: Backend, ear: Backend) -> float:
    """The word error rate over a dozen sentences, each said and heard by itself."""
    voice.load()
    errors = 0
    for sentence in SENTENCES:
        desk = Desk()
        (sound,) = ask(voice, Query.ask(sentence, seed=1), desk).audio
        heard = ask(ear, Query((Message("user", (sound,)),)), desk).text
        wrong = word_errors(sentence, heard)
        errors += wrong
        print(f"{wrong} wrong: {sentence} → {heard}")
    voice.unload()
    rate = errors / sum(len(words(sentence)) for sentence in SENTENCES)
    print(f"word error rate: {rate:.1%}")
    return rate


def test_the_built_in_voice_is_understood(whisper: WhisperBackend) -> None:
    spec = ModelSpec("hibari", Modality.SPEECH, "hibari", RateCard(free=True))
    assert error_rate(HibariBackend(spec), whisper) < 0.15


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_the_robot_is_understood_less_well(whisper: WhisperBackend) -> None:
    spec = ModelSpec("espeak", Modality.SPEECH, "espeak", RateCard(free=True))
    assert error_rate(EspeakBackend(spec), whisper) < 0.4
