"""A sysop has a realm fetch a model, watches it come, and asks it."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from dask_workers.weights import BUNDLES, enter, pull
from mtor_kernel.client import RealmClient
from mtor_kernel.protocol.errors import NotFound
from mtor_kernel.protocol.query import Query
from tests.dask_workers.weights.hub_double import HubDouble, Trouble
from tests.realms import small_realm

pytestmark = pytest.mark.asyncio

NAME = "qwen2.5-0.5b"


def place_whole(weights: Path) -> None:
    """Put the model's file there, as long as the published one."""
    known = BUNDLES[NAME].files[0]
    place = weights / "models" / NAME / known.name
    place.parent.mkdir(parents=True)
    with place.open("wb") as file:
        file.truncate(known.size_bytes)


async def ended(realm: RealmClient, name: str) -> dict[str, object]:
    """Wait for the end of a pull."""
    async with asyncio.timeout(60):
        while True:
            (found,) = [one for one in await realm.sysop("pulls") if one["model"] == name]
            if found.get("state", "running") != "running":
                return dict(found)
            await asyncio.sleep(0.05)


@pytest.mark.slow
async def test_a_pull_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A hub that has another file under the name than the published one.
    path = (
        "/Qwen/Qwen2.5-0.5B-Instruct-GGUF/resolve/9217f5db79a29953eb74d5343926648285ec7e67"
        "/qwen2.5-0.5b-instruct-q4_k_m.gguf"
    )
    with HubDouble(b"no weights", path=path).running() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("MTOR_DATA", str(tmp_path / "weights"))
        async with small_realm(tmp_path) as small, small.client() as realm:
            await realm.sysop("pull", model=NAME)
            found = await ended(realm, NAME)
            assert found["state"] == "failed"
            assert "10 bytes" in str(found["error"])
            assert NAME not in [model.name for model in await realm.models()]


@pytest.mark.slow
async def test_a_pull_is_stopped_with_what_is_here_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with HubDouble(b"x", troubles=[Trouble(status=503)] * 9).running() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("MTOR_DATA", str(tmp_path / "weights"))
        async with small_realm(tmp_path) as small, small.client() as realm:
            await realm.sysop("pull", model=NAME)
            async with asyncio.timeout(60):
                while not hub.asked:
                    await asyncio.sleep(0.05)
            await realm.sysop("pull", model=NAME, on=False)
            assert (await ended(realm, NAME))["state"] == "stopped"
            with pytest.raises(NotFound):
                await realm.sysop("pull", model=NAME, on=False)


@pytest.mark.slow
async def test_a_model_that_is_whole_already_is_served_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MTOR_DATA", str(tmp_path / "weights"))
    async with small_realm(tmp_path) as small, small.client() as realm:
        place_whole(tmp_path / "weights")
        await realm.sysop("pull", model=NAME)
        assert (await ended(realm, NAME))["state"] == "done"
        assert NAME in [model.name for model in await realm.models()]


@pytest.mark.slow
async def test_queries_run_on_while_a_model_is_pulled_and_comes_into_the_catalogue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MTOR_DATA", str(tmp_path / "weights"))
    async with small_realm(tmp_path) as small, small.client() as realm:
        words = " ".join(f"word{n}" for n in range(20))
        asked = [await realm.submit(Query.ask(words, "slow")) for _ in range(4)]
        place_whole(tmp_path / "weights")
        await asyncio.gather(*(realm.sysop("pull", model=NAME) for _ in range(5)))
        assert (await ended(realm, NAME))["state"] == "done"
        assert len(await realm.sysop("pulls")) == 1
        assert [(await one.answer()).text.strip() for one in asked] == [words] * 4


@pytest.mark.slow
async def test_a_model_that_came_beside_a_broken_catalogue_says_what_to_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MTOR_DATA", str(tmp_path / "weights"))
    async with small_realm(tmp_path) as small, small.client() as realm:
        place_whole(tmp_path / "weights")
        (tmp_path / "catalogue.toml").write_text("[[models]]\nname = 3\n")
        await realm.sysop("pull", model=NAME)
        found = await ended(realm, NAME)
        assert found["state"] == "failed"
        assert "served when the catalogue is mended" in str(found["error"])
        assert "line 2" in str(found["error"])


@pytest.mark.slow
async def test_a_name_that_is_not_in_the_list_is_answered_with_those_that_are(
    tmp_path: Path,
) -> None:
    async with small_realm(tmp_path) as small, small.client() as realm:
        await realm.sysop("pull", model="gpt9")
        assert "qwen2.5-1.5b" in str((await ended(realm, "gpt9"))["error"])


@pytest.mark.slow
async def test_a_pulled_model_answers_without_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real model, under another one's name: none of the list is to be had in a test."""
    real = pull("smollm2") / BUNDLES["smollm2"].files[0].name
    with HubDouble(real.read_bytes()).running() as hub:
        monkeypatch.setitem(BUNDLES, NAME, BUNDLES[NAME]._replace(files=(hub.file,)))
        monkeypatch.setenv("MTOR_DATA", str(tmp_path / "weights"))
        async with small_realm(tmp_path) as small, small.client() as realm:
            await asyncio.to_thread(pull, NAME, None, mirror=hub.url)
            entry = enter(NAME, small.realm.data_dir)
            assert entry is not None
            # A process of its own would know the real list only.
            entry.write_text(entry.read_text().replace("isolate = true", "isolate = false"))
            await realm.sysop("reload")
            answer = await realm.ask("Name the capital city of France.", NAME, temperature=0.0)
            assert "Paris" in answer.text


@pytest.mark.slow
@pytest.mark.fault
async def test_a_pull_does_not_outlive_who_asked_for_it(tmp_path: Path) -> None:
    with HubDouble(b"x", troubles=[Trouble(status=503)] * 99).running() as hub:
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "dask_workers.weights",
            NAME,
            str(tmp_path),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            env={**os.environ, "HF_ENDPOINT": hub.url, "MTOR_DATA": str(tmp_path)},
        )
        async with asyncio.timeout(60):
            while not hub.asked:
                await asyncio.sleep(0.05)
            assert child.stdin is not None
            child.stdin.close()
            assert await child.wait() == 1
