"""A sysop has a realm fetch a model, watches it come, and asks it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mtor_kernel.client import RealmClient
from mtor_kernel.protocol.errors import NotFound
from tests.dask_workers.weights.hub_double import HubDouble, Trouble
from tests.realms import small_realm

pytestmark = pytest.mark.asyncio

NAME = "qwen2.5-0.5b"


async def ended(realm: RealmClient, name: str) -> dict[str, object]:
    """Wait for the end of a pull."""
    async with asyncio.timeout(30):
        while True:
            (pull,) = [one for one in await realm.sysop("pulls") if one["model"] == name]
            if pull.get("state", "running") != "running":
                return dict(pull)
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
        async with small_realm(tmp_path) as small, small.client() as realm:
            await realm.sysop("pull", model=NAME)
            pull = await ended(realm, NAME)
            assert pull["state"] == "failed"
            assert "10 bytes" in str(pull["error"])
            assert NAME not in [model.name for model in await realm.models()]


@pytest.mark.slow
async def test_a_pull_is_stopped_with_what_is_here_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with HubDouble(b"x", troubles=[Trouble(status=503)] * 9).running() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        async with small_realm(tmp_path) as small, small.client() as realm:
            await realm.sysop("pull", model=NAME)
            async with asyncio.timeout(30):
                while not hub.asked:
                    await asyncio.sleep(0.05)
            await realm.sysop("pull", model=NAME, on=False)
            assert (await ended(realm, NAME))["state"] == "stopped"
            with pytest.raises(NotFound):
                await realm.sysop("pull", model=NAME, on=False)


@pytest.mark.slow
async def test_a_model_that_is_whole_already_is_served_at_once(tmp_path: Path) -> None:
    from dask_workers.weights import BUNDLES

    known = BUNDLES[NAME].files[0]
    async with small_realm(tmp_path) as small, small.client() as realm:
        place = Path(small.realm.data_dir) / "models" / NAME / known.name
        place.parent.mkdir(parents=True)
        with place.open("wb") as file:
            file.truncate(known.size_bytes)
        await realm.sysop("pull", model=NAME)
        assert (await ended(realm, NAME))["state"] == "done"
        assert NAME in [model.name for model in await realm.models()]


@pytest.mark.slow
async def test_a_name_that_is_not_in_the_list_is_answered_with_those_that_are(
    tmp_path: Path,
) -> None:
    async with small_realm(tmp_path) as small, small.client() as realm:
        await realm.sysop("pull", model="gpt9")
        assert "qwen2.5-1.5b" in str((await ended(realm, "gpt9"))["error"])
