"""What backends share that talk to services: no secret is told, no wait is believed blindly."""

from __future__ import annotations

import email.utils
import itertools
import time

import httpx
import pytest

from dask_workers.failures import MAX_RETRY_SECONDS, SHOWN_CHARACTERS, retry_after, scrub
from dask_workers.media import picture_kind, sentences, whole_wav
from dask_workers.remote import ServiceSettings, calling, on_response
from mtor_kernel.protocol.account import RateCard
from mtor_kernel.protocol.backend import ModelSpec
from mtor_kernel.protocol.errors import BackendFailed
from mtor_kernel.protocol.query import Modality
from tests.dask_workers.contract import png, wav
from tests.dask_workers.desk import Desk


@pytest.mark.parametrize(
    "sentence",
    [
        "Incorrect API key provided: sk-proj-abc123456789.",
        "Bearer abcdefg is not known",
        "no such file: /home/ann/models/llama.gguf",
        "no such file: C:\\Users\\ann\\secret.bin",
        "no route to http://mtor:hunter2@10.1.2.3:8000/v1",
        "connection to 10.1.2.3:8000 failed",
        "token hf_abcdefghijklm is expired",
        "the word swordfish is wrong",
    ],
)
def test_a_sentence_is_told_without_its_secrets(sentence: str) -> None:
    told = scrub(sentence, "swordfish")
    assert "…" in told
    for secret in ("sk-", "abcdefg", "ann", "hunter2", "10.1.2.3", "swordfish"):
        assert secret not in told


@pytest.mark.parametrize(
    "sentence", ["Use 3/4 of it and/or less", "max_tokens is 5, at most 4 (see top_p)"]
)
def test_a_sentence_without_secrets_stays(sentence: str) -> None:
    assert scrub(sentence) == sentence


def test_a_sentence_of_megabytes_does_not_occupy_the_worker() -> None:
    assert len(scrub("a." * 1_000_000)) == SHOWN_CHARACTERS - 1


def test_a_refusal_that_never_ends_is_read_no_further_than_it_is_looked_at() -> None:
    endless = httpx.Response(500, content=itertools.repeat(b"no " * 1000))
    spec = ModelSpec("m", Modality.CHAT, "any", RateCard(free=True))
    with (
        pytest.raises(BackendFailed, match="status 500"),
        calling(spec, Desk(), ServiceSettings()) as call,
        call.asking(),
    ):
        on_response(endless)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("1e99", MAX_RETRY_SECONDS),
        ("soon", None),
        ("", None),
        ("nan", None),
    ],
)
def test_a_wait_is_read(said: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": said}) == seconds


def test_a_wait_until_a_date_is_read() -> None:
    date = email.utils.formatdate(time.time() + 600, usegmt=True)
    assert retry_after({"retry-after": date}) == pytest.approx(600, abs=60)


def test_the_lengths_of_a_streamed_recording_are_put_right() -> None:
    whole = wav(0.5, 24000)
    streamed = whole[:4] + b"\xff" * 4 + whole[8:40] + b"\xff" * 4 + whole[44:]
    assert whole_wav(streamed) == (whole, 500)


@pytest.mark.parametrize("content", [b"", b"RIFF", b"<html>", wav()[:30]])
def test_what_is_no_recording_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="no WAV"):
        whole_wav(content)


def test_a_picture_is_known_by_its_first_bytes() -> None:
    assert picture_kind(png()) == "image/png"
    assert picture_kind(b"<html>") == ""


def test_a_text_is_cut_into_sentences() -> None:
    assert sentences("Hello there. How are you?\nFine") == ["Hello there.", "How are you?", "Fine"]
    assert sentences("...") == ["..."]
