"""Piper's command line, spoken to a stand-in: the real program is not among what tests install."""

from __future__ import annotations

import io
import json
import os
import sys
import threading
import time
import wave
from pathlib import Path
from typing import Any

import psutil
import pytest

from dask_workers.backends.piper import PiperBackend
from mtor_kernel.protocol.account import RateCard
from mtor_kernel.protocol.backend import ModelSpec
from mtor_kernel.protocol.errors import BackendFailed, Unavailable, UnknownOption
from mtor_kernel.protocol.query import Modality, Query
from tests.dask_workers import piper_double
from tests.dask_workers.desk import Desk, Said, ask

ABOUT = {
    "audio": {"sample_rate": 16_000, "quality": "low"},
    "language": {"code": "en_US", "family": "en"},
    "speaker_id_map": {"anna": 0, "ben": 1},
}


def make(folder: Path, **settings: Any) -> PiperBackend:
    """A backend whose voice and program lie in a folder."""
    voice, program = folder / "voice.onnx", folder / "piper"
    voice.write_bytes(b"a voice")
    (folder / "voice.onnx.json").write_text(json.dumps(ABOUT))
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {piper_double.__file__} "$@"\n')
    program.chmod(0o755)
    settings = {"path": str(voice), "program": str(program), **settings}
    return PiperBackend(
        ModelSpec("piper", Modality.SPEECH, "piper", RateCard(free=True), settings=settings)
    )


@pytest.fixture
def piper(tmp_path: Path) -> PiperBackend:
    backend = make(tmp_path)
    assert backend.missing() == ""
    backend.load()
    return backend


def lengths(desk: Desk, said: Said) -> list[int]:
    found = []
    for part in said.audio:
        with wave.open(io.BytesIO(desk.read_blob(part.blob))) as sound:
            assert sound.getparams()[:3] == (1, 2, 16_000)
            found.append(sound.getnframes())
    return found


def test_each_sentence_is_a_sound_at_the_rate_of_the_voice(piper: PiperBackend) -> None:
    desk = Desk()
    said = ask(piper, Query.ask("Four score. And seven."), desk)
    assert lengths(desk, said) == [11 * 800, 10 * 800]
    assert said.done.usage.characters == 22
    assert said.done.usage.audio_ms == 1050


def test_speed_and_speaker_become_arguments(piper: PiperBackend) -> None:
    desk = Desk()
    said = ask(piper, Query.ask("Four score.", speed=2.0, voice="ben"), desk)
    assert lengths(desk, said) == [11 * 400]
    assert desk.read_blob(said.audio[0].blob).endswith(b"\2\0")


def test_only_speakers_and_languages_of_the_voice_are_taken(piper: PiperBackend) -> None:
    with pytest.raises(UnknownOption, match="no voice '--help'; it has: anna, ben"):
        ask(piper, Query.ask("Hello", voice="--help"))
    with pytest.raises(UnknownOption, match="speaks en-us only"):
        ask(piper, Query.ask("Hallo", language="de"))
    assert ask(piper, Query.ask("Hello", language="en-GB")).audio


def test_a_text_that_looks_like_an_argument_is_said(piper: PiperBackend) -> None:
    assert len(ask(piper, Query.ask("--model /etc/passwd\n-h")).audio) == 2


def test_a_cancel_kills_the_program_in_mid_sentence(piper: PiperBackend, tmp_path: Path) -> None:
    desk, said = Desk(), []
    pid = tmp_path / "pid"
    stream = piper.stream(Query.ask("One. This goes on forever. Three."), desk)
    asking = threading.Thread(target=lambda: said.extend(stream))
    asking.start()
    while not (pid.exists() and pid.read_text()):
        time.sleep(0.01)
    child = int(pid.read_text())
    desk.cancel()
    asking.join(60)
    assert not asking.is_alive()
    assert len(said) == 1
    assert not psutil.pid_exists(child)


def test_a_sentence_that_takes_too_long_is_an_error_and_leaves_no_child(tmp_path: Path) -> None:
    backend = make(tmp_path, timeout_seconds=2.0)
    backend.load()
    before = set(psutil.Process().children())
    with pytest.raises(BackendFailed, match="did not end within 2 seconds"):
        ask(backend, Query.ask("This goes on forever."))
    assert set(psutil.Process().children()) <= before


def test_what_the_program_complains_of_stays_in_the_log(
    piper: PiperBackend, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(BackendFailed, match="The program piper failed") as failed:
        ask(piper, Query.ask("Now crash."))
    assert "secret" not in failed.value.message
    assert "secret path" in caplog.text


def test_the_program_sees_no_key_of_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "sk-secret")
    seen = tmp_path / "seen"
    program = tmp_path / "spy"
    program.write_text(f"#!/bin/sh\nenv > {seen}\nprintf ab\n")
    program.chmod(0o755)
    backend = make(tmp_path, program=str(program))
    backend.load()
    ask(backend, Query.ask("Hello."))
    assert os.environ["PATH"] in seen.read_text()
    assert "sk-secret" not in seen.read_text()


def test_what_is_missing_is_said_with_what_mends_it(tmp_path: Path) -> None:
    assert "pipx install piper-tts" in make(tmp_path, program="no-such-program").missing()
    assert "set settings.path" in make(tmp_path, path="").missing()
    assert "There is no file" in make(tmp_path, path=str(tmp_path / "none.onnx")).missing()
    backend = make(tmp_path)
    (tmp_path / "voice.onnx.json").write_text("{}")
    with pytest.raises(BackendFailed, match="describes no Piper voice"):
        backend.load()
    with pytest.raises(Unavailable):
        ask(backend, Query.ask("Hello"))
