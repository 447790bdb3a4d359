"""Draw through a whole realm, with the model that MTOR brings."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from importlib.resources import files

import pytest
import pytest_asyncio
from openai import AsyncOpenAI
from PIL import Image as Picture

from dask_workers.weights import pull
from mtor_kernel.client import RealmClient, Reply
from mtor_kernel.protocol.errors import BadInput, RealmError
from mtor_kernel.protocol.ngram import Cancelled, Progress
from mtor_kernel.protocol.query import Image, Query
from tests.realms import TOKEN, SmallRealm, small_realm

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def small(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SmallRealm]:
    await asyncio.to_thread(pull, "minilm")
    catalogue = (files("mtor_kernel.realm") / "catalogue.toml").read_text("utf-8")
    folder = tmp_path_factory.mktemp("realm")
    async with small_realm(folder, catalogue=catalogue.replace("preload = true", "")) as small:
        yield small


@pytest_asyncio.fixture(loop_scope="module")
async def client(small: SmallRealm) -> AsyncIterator[RealmClient]:
    async with small.client() as client:
        yield client


async def picture_of(client: RealmClient, reply: Reply) -> Picture.Image:
    (part,) = reply.parts
    assert isinstance(part, Image)
    return Picture.open(io.BytesIO(await client.download(part.blob)))


async def test_a_red_heart_is_drawn_with_previews_and_paid_for(client: RealmClient) -> None:
    running = await client.submit(Query.ask("a red heart", "image", seed=1))
    told = [event async for event in running.events() if isinstance(event, Progress)]
    reply = await running.answer()
    assert reply.model == "emoji"
    assert (await picture_of(client, reply)).size == (256, 256)
    previews = [Picture.open(io.BytesIO(event.preview)) for event in told if event.preview]
    assert all(preview.size == (128, 128) for preview in previews)
    assert [event.fraction for event in told] == sorted(event.fraction for event in told)
    usage = reply.charge.usage
    assert (usage.images, usage.pixel_steps) == (1, 256 * 256 * 20)
    # The entry's card: 100 a query, and 100 a million pixels and steps.
    assert reply.charge.amount_micro == 100 + -(-usage.pixel_steps * 100 // 1_000_000)


async def test_several_at_once_each_get_their_own(client: RealmClient) -> None:
    prompts = ["a red heart", "a green apple", "a blue circle"]
    replies = await asyncio.gather(*(client.imagine(prompt, seed=1) for prompt in prompts))
    red, green, blue = [
        (await picture_of(client, reply)).convert("RGB").resize((1, 1)).getpixel((0, 0))
        for reply in replies
    ]
    assert red[0] == max(red)
    assert green[1] == max(green)
    assert blue[2] == max(blue)


async def test_a_picture_begins_from_a_picture(client: RealmClient) -> None:
    given = Picture.new("RGB", (64, 64), "white")
    given.paste((0, 160, 60), (12, 12, 52, 52))
    reply = await client.imagine("a green apple", picture=given, strength=0.5, seed=1)
    assert (await picture_of(client, reply)).size == (256, 256)
    assert reply.charge.usage.pixel_steps == 256 * 256 * 10


async def test_a_drawing_is_cancelled(client: RealmClient) -> None:
    running = await client.submit(Query.ask("a heart", "image", steps=50, width=1024, height=1024))
    last = None
    async for event in running.events():
        last = event
        if isinstance(event, Progress) and event.fraction > 0:
            await running.cancel()
    assert isinstance(last, Cancelled)
    assert (await client.imagine("a heart", seed=1)).parts


@pytest.mark.parametrize(
    "options", [{"width": 100}, {"strength": 0.5}, {"steps": 51}, {"width": 2048, "height": 2048}]
)
async def test_what_cannot_be_drawn_is_refused_and_costs_nothing(
    client: RealmClient, options: dict[str, float]
) -> None:
    before = (await client.me()).balance_micro
    with pytest.raises(RealmError) as refused:
        await client.imagine("a heart", **options)
    assert isinstance(refused.value, BadInput)
    assert (await client.me()).balance_micro == before


async def test_an_openai_client_draws(small: SmallRealm) -> None:
    asked = AsyncOpenAI(base_url=f"{small.url}v1", api_key=TOKEN, max_retries=0)
    async with asked as openai:
        made = await openai.images.generate(
            model="image", prompt="a red heart", size="256x256", response_format="b64_json"
        )
    assert made.data
    assert made.data[0].b64_json
