"""Answers that were recorded from other weights than are served now."""

from __future__ import annotations

import asyncio
import os
import warnings
from pathlib import Path

import pytest

from mtor_kernel.client import RealmClient
from mtor_kernel.client.replay import Book, Mode, Replay
from mtor_kernel.client.replay.weights import short
from mtor_kernel.protocol.ngram import Settled
from tests.realms import TOKEN, SmallRealm, small_realm

CATALOGUE = """
[[models]]
name = "echo"
modality = "chat"
backend = "echo"
slots = 8
rates = {{ output_token_micro = 2 }}
settings = {{ weights = "{file}" }}
"""


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTOR_DATA", os.fspath(tmp_path))


def catalogue(folder: Path, weights: str) -> str:
    file = folder / f"{weights}.gguf"
    file.write_text(weights)
    return CATALOGUE.format(file=file)


def client_of(small: SmallRealm | None, file: Path, mode: Mode) -> RealmClient:
    url = small.url if small is not None else "http://127.0.0.1:9/"
    return RealmClient(url, TOKEN, replay=Replay(mode, lambda: file))


async def known(small: SmallRealm) -> str:
    """Wait until the worker knows what it has, which it works out beside its answers."""
    async with small.client() as realm, asyncio.timeout(60):
        await realm.ask("warm", "echo")
        while not (found := (await realm.models())[0].weights):
            await asyncio.sleep(0.02)
    return found[0]


@pytest.mark.asyncio
async def test_an_answer_tells_its_weights_now_and_later_and_its_record_has_them(
    tmp_path: Path,
) -> None:
    file, told = tmp_path / "demo.mtor.jsonl", catalogue(tmp_path, "one")
    async with small_realm(tmp_path / "realm", catalogue=told) as small:
        weights = await known(small)
        assert weights.startswith("sha256:")
        async with client_of(small, file, Mode.ON) as realm:
            reply = await realm.ask("Hello", "echo")
            assert (reply.weights, reply.replayed) == (weights, False)
            answer = (await realm.info(reply.query)).answer
            assert answer is not None
            assert answer.weights == weights
            (worker,) = await realm.workers()
            assert worker.served[0].weights == weights
            again = await realm.submit(await realm.prepare("Once", "echo"), "key")
            await again.answer()
        async with small.client() as stored:  # from the store, as after a restart
            later = await stored.submit(await stored.prepare("Once", "echo"), "key")
            assert (await later.answer()).weights == weights
    book = Book(file)
    book.refresh()
    assert {one.end.weights for one in book.records if isinstance(one.end, Settled)} == {weights}
    async with client_of(None, file, Mode.ONLY) as realm:
        reply = await realm.ask("Hello", "echo")
        assert (reply.weights, reply.replayed) == (weights, True)


@pytest.mark.asyncio
async def test_what_is_played_from_other_weights_is_said_once(tmp_path: Path) -> None:
    file, one = tmp_path / "demo.mtor.jsonl", catalogue(tmp_path, "one")
    async with small_realm(tmp_path / "first", catalogue=one) as small:
        old = await known(small)
        async with client_of(small, file, Mode.ON) as realm:
            for words in ("Hello", "Again", "Third"):
                await realm.ask(words, "echo")
    async with small_realm(tmp_path / "second", catalogue=catalogue(tmp_path, "two")) as small:
        new = await known(small)
        assert new != old
        async with client_of(small, file, Mode.ON) as realm:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                await realm.ask("Hello", "echo")  # nobody has asked the realm yet
            with pytest.warns(UserWarning, match="recorded beside others of other weights"):
                assert not (await realm.ask("New", "echo")).replayed
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                assert (await realm.ask("Again", "echo")).replayed
        async with client_of(small, file, Mode.ON) as realm:
            await realm.models()
            with pytest.warns(UserWarning, match=f"{short([old])}.* than are served now"):
                await realm.ask("Third", "echo")


def test_a_hash_is_shown_short_and_a_name_whole() -> None:
    assert short(["sha256:" + "ab" * 32]) == "sha256:abababababab…"
    assert short(["claude-9 20260101"]) == "claude-9 20260101"
    assert short([""]) == "unknown"
