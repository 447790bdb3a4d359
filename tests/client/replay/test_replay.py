"""What is played and what is recorded, at the client's one seam."""

from pathlib import Path

import pytest

from mtor_kernel.client import RealmClient
from mtor_kernel.client.replay import Mode, Replay
from mtor_kernel.client.replay.place import known_file, replay_file
from mtor_kernel.protocol.errors import (
    BackendFailed,
    BadInput,
    NotRecorded,
    RealmError,
    ReplayDamaged,
)
from mtor_kernel.protocol.query import Image
from tests.led import LED, LedBackend, led
from tests.modalities import MODALITIES, picture
from tests.realms import CATALOGUE, TOKEN, SmallRealm, small_realm

BROKEN = """
[[models]]
name = "broken"
modality = "chat"
backend = "echo"
rates = { output_token_micro = 5 }
settings = { fail = true }
"""


def client_of(small: SmallRealm | None, file: Path, mode: Mode) -> RealmClient:
    url = small.url if small is not None else "http://127.0.0.1:9/"
    return RealmClient(url, TOKEN, replay=Replay(mode, lambda: file))


@pytest.mark.asyncio
async def test_equal_questions_are_played_in_their_order(tmp_path: Path) -> None:
    file = tmp_path / "demo.mtor.jsonl"
    async with small_realm(tmp_path / "realm") as small, client_of(small, file, Mode.ON) as realm:
        ids = [(await realm.ask("Hello")).query for _ in range(3)]
    async with client_of(None, file, Mode.ONLY) as realm:
        assert [(await realm.ask("Hello")).query for _ in range(3)] == ids
        with pytest.raises(NotRecorded, match="recorded 3 times"):
            await realm.ask("Hello")


@pytest.mark.asyncio
async def test_a_key_plays_the_answer_of_that_key(tmp_path: Path) -> None:
    file = tmp_path / "demo.mtor.jsonl"
    async with small_realm(tmp_path / "realm") as small, client_of(small, file, Mode.ON) as realm:
        ids = {key: (await realm.ask("Hello", key=key)).query for key in ("a", "b")}
        async with await realm.submit(await realm.prepare("Hello"), "a") as again:
            assert again.repeated
            assert (await again.answer()).query == ids["a"]
    async with client_of(None, file, Mode.ONLY) as realm:
        assert {key: (await realm.ask("Hello", key=key)).query for key in ("b", "a")} == ids


@pytest.mark.slow
@pytest.mark.asyncio
async def test_a_failure_is_played_where_nobody_can_be_asked_and_else_asked_again(
    tmp_path: Path,
) -> None:
    file = tmp_path / "demo.mtor.jsonl"
    catalogue = CATALOGUE + BROKEN
    async with (
        small_realm(tmp_path / "realm", catalogue=catalogue) as small,
        client_of(small, file, Mode.ON) as realm,
    ):
        for _ in range(2):
            with pytest.raises(BackendFailed):
                await realm.ask("Hello", "broken")
        assert len(await realm.history()) == 2
    async with client_of(None, file, Mode.ONLY) as realm:
        for _ in range(2):
            with pytest.raises(BackendFailed):
                await realm.ask("Hello", "broken")


@pytest.mark.asyncio
async def test_events_of_a_played_answer_are_those_of_a_query(tmp_path: Path) -> None:
    file = tmp_path / "demo.mtor.jsonl"
    said = []
    with led(tmp_path):
        async with (
            small_realm(tmp_path / "realm", catalogue=CATALOGUE + LED) as small,
            client_of(small, file, Mode.ON) as realm,
        ):
            LedBackend.let()
            async for words in realm.stream("one two three", "led"):
                said.append(words)
                LedBackend.let()
    assert said == ["one", " two", " three"]
    async with client_of(None, file, Mode.ONLY) as realm:
        assert [words async for words in realm.stream("one two three", "led")] == ["".join(said)]


@pytest.mark.asyncio
async def test_an_answer_that_cannot_be_written_is_given_out_with_a_warning(tmp_path: Path) -> None:
    file = tmp_path / "demo.mtor.jsonl"
    async with small_realm(tmp_path / "realm") as small, client_of(small, file, Mode.ON) as realm:
        assert realm.replay is not None
        await realm.ask("Hello")
        file.write_bytes(file.read_bytes() + b"{")
        with pytest.raises(RealmError, match="line 2"):
            await realm.ask("Again")
        assert len(await realm.history()) == 1
        realm.replay.book.mend()
        (tmp_path / "demo.mtor.jsonl.damaged").unlink()
        running = await realm.submit(await realm.prepare("Third"))
        file.write_bytes(file.read_bytes() + b"{")
        with pytest.warns(UserWarning, match="not recorded for replay: demo.mtor.jsonl, line 2"):
            assert (await running.answer()).text == "Third"


@pytest.mark.asyncio
async def test_nothing_but_questions_reaches_out_where_all_is_played(tmp_path: Path) -> None:
    async with client_of(None, tmp_path / "demo.mtor.jsonl", Mode.ONLY) as realm:
        for look in (realm.me, realm.workers, realm.queue, realm.history, realm.address):
            with pytest.raises(NotRecorded, match="no realm is asked"):
                await look()
        assert await realm.models() == []
        with pytest.raises(NotRecorded, match=r"there is no demo\.mtor\.jsonl yet"):
            await realm.ask("Hello")


@pytest.mark.asyncio
async def test_media_of_an_answer_lie_beside_it_and_are_missed_by_name(tmp_path: Path) -> None:
    file = tmp_path / "demo.mtor.jsonl"
    async with (
        small_realm(tmp_path / "realm", catalogue=MODALITIES) as small,
        client_of(small, file, Mode.ON) as realm,
    ):
        (drawn,) = (await realm.imagine("a heart", seed=1)).parts
        assert isinstance(drawn, Image)
        content = await realm.download(drawn.blob)
        about = (await realm.see(picture(), "What is it?")).query
    (kept,) = (tmp_path / "demo.mtor").iterdir()
    assert kept.read_bytes() == content
    async with client_of(None, file, Mode.ONLY) as realm:
        assert (await realm.see(picture(), "What is it?")).query == about
        with pytest.raises(NotRecorded, match="a picture or a sound has changed"):
            await realm.see(picture(colour="blue"), "What is it?")
        await realm.imagine("a heart", seed=1)
        assert await realm.download(drawn.blob) == content
        kept.unlink()
        with pytest.raises(ReplayDamaged, match=r"is not in demo\.mtor"):
            await realm.download(drawn.blob)


def test_a_notebook_is_known_by_whoever_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MTOR_REPLAY_FILE", "JPY_SESSION_NAME"):
        monkeypatch.delenv(name, raising=False)
    assert known_file({}) is None
    assert known_file({"__session__": "a-console-without-notebook"}) is None
    file = tmp_path / "a b.mtor.jsonl"
    assert known_file({"__session__": str(tmp_path / "a b.ipynb")}) == file
    assert known_file({"__vsc_ipynb_file__": str(tmp_path / "a b.ipynb")}) == file
    monkeypatch.setenv("MTOR_REPLAY_FILE", str(tmp_path / "c"))
    assert known_file({"__session__": str(tmp_path / "a b.ipynb")}) == tmp_path / "c.mtor.jsonl"
    with pytest.raises(BadInput, match="There is no folder"):
        replay_file("/no/such/x.ipynb")
    with pytest.raises(BadInput, match="is a folder"):
        replay_file(tmp_path)
    with pytest.raises(BadInput, match="is a folder"):
        replay_file(tmp_path / "..")
    for odd in ("x" * 300 + ".ipynb", "nul\0.ipynb"):
        with pytest.raises(BadInput, match="no"):
            replay_file(tmp_path / odd)
