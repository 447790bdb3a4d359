"""A recording that is seen to be too long is refused before anything is held for it."""

from __future__ import annotations

import io
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from mtor_kernel.client import RealmClient
from mtor_kernel.protocol.errors import NotFound, TooLarge
from mtor_kernel.protocol.query import Audio, Message, Query
from mtor_kernel.realm.recordings import seconds_of
from tests.realms import CATALOGUE, SmallRealm, small_realm

EARS = "".join(
    f"""
[[models]]
name = "{name}"
modality = "transcription"
backend = "echo"
max_audio_seconds = {seconds}
rates = {{ audio_second_micro = 10 }}
"""
    for name, seconds in {"short": 2, "long": 5}.items()
)
ALIAS = CATALOGUE.replace("[aliases]", '[aliases]\nears = ["short", "long"]')


def wav(seconds: float, *, rate: int = 8000) -> bytes:
    """Silence."""
    made = io.BytesIO()
    with wave.open(made, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(bytes(2 * round(seconds * rate)))
    return made.getvalue()


@pytest_asyncio.fixture
async def small(tmp_path: Path) -> AsyncIterator[SmallRealm]:
    async with small_realm(tmp_path, catalogue=ALIAS + EARS) as small:
        yield small


@pytest_asyncio.fixture
async def owner(small: SmallRealm) -> AsyncIterator[RealmClient]:
    async with small.client() as client:
        yield client


async def hear(client: RealmClient, seconds: float, model: str) -> Query:
    blob = await client.upload(wav(seconds), "audio/wav")
    return Query((Message("user", (Audio(blob),)),), model)


@pytest.mark.asyncio
async def test_one_that_is_too_long_is_refused_with_the_figures(owner: RealmClient) -> None:
    for ask in (owner.submit, owner.quote):
        with pytest.raises(TooLarge, match=r"is 3 s long, and short hears 2 s at most") as refused:
            await ask(await hear(owner, 2.5, "short"))
        assert refused.value.details == {"limit": 2, "used": 3}
    assert (await owner.me()).held_micro == 0
    reply = await (await owner.submit(await hear(owner, 1.5, "short"))).answer()
    assert reply.model == "short"


@pytest.mark.asyncio
async def test_a_chain_goes_on_to_a_model_that_hears_so_long(owner: RealmClient) -> None:
    reply = await (await owner.submit(await hear(owner, 2.5, "ears"))).answer()
    assert reply.model == "long"
    with pytest.raises(TooLarge, match="short hears"):
        await owner.submit(await hear(owner, 6, "ears"))


@pytest.mark.asyncio
async def test_one_that_is_not_there_is_not_found(owner: RealmClient) -> None:
    with pytest.raises(NotFound):
        await owner.submit(Query((Message("user", (Audio("0" * 64),)),), "short"))


@pytest.mark.parametrize(
    ("content", "seconds"),
    [
        (wav(1.5), 1.5),
        (wav(1.5)[:8044], 0.5),
        (wav(0), 0.0),
        (b"", None),
        (b"RIFF", None),
        (b"\xff\xfb" * 100, None),
    ],
)
def test_the_length_is_told_of_what_is_there(
    tmp_path: Path, content: bytes, seconds: float | None
) -> None:
    path = tmp_path / "recording"
    path.write_bytes(content)
    found = seconds_of(path)
    assert found == (None if seconds is None else pytest.approx(seconds, abs=0.01))
