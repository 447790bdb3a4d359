"""What changes while people are connected: bans, groups, deletions, a Hub that hangs."""

import asyncio
import time
from collections.abc import Iterator

import httpx
import pytest

from mtor_kernel.client import RealmClient
from mtor_kernel.protocol.errors import Banned, RealmError
from mtor_kernel.protocol.ngram import Admitted, Chunk, Error, Hello, Refused, Settled
from mtor_kernel.protocol.query import Query
from tests.gateway.helpers import Talk, asking, dial
from tests.hub.hub_process import PATIENCE_SECONDS, Hub, serve_hub
from tests.realms import CATALOGUE

pytestmark = [
    pytest.mark.slow,
    pytest.mark.fault,
    pytest.mark.timeout(600),
    pytest.mark.asyncio(loop_scope="module"),
]

#: The Hub is asked again soon, so that tests need not wait for what happens within half a minute.
QUICK = """
c.HubPeople.fresh_seconds = 0.2
c.HubPeople.patience_seconds = 60.0
c.HubRealm.vigil_seconds = 0.2
c.People.quotas_of = {"guest": {"queries_per_minute": 0}}
"""
#: An answer that lasts longer than a restart.
LONG = """
[[models]]
name = "long"
modality = "chat"
backend = "echo"
slots = 2
max_output_tokens = 100000
rates = { output_token_micro = 1 }
settings = { chunks = 100, rate = 12.0 }
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A Hub whose realm looks often."""
    folder = tmp_path_factory.mktemp("hub")
    how = {"everybody": False, "realm": QUICK, "catalogue": CATALOGUE + LONG}
    with serve_hub(folder, **how) as served:
        served.add("ann", "ben", group="mtor-users")
        served.add("sue", group="mtor-sysops")
        yield served


async def connect(hub: Hub, name: str) -> Talk:
    """Return a socket that has said hello, by way of the Hub's proxy."""
    talk = Talk(await dial(hub.service.replace("http", "ws", 1) + "ngram", hub.token(name)))
    await talk.say(Hello())
    await talk.hear()
    return talk


async def last_words(talk: Talk) -> Error:
    """Return why a socket is closed."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        error = await talk.until(Error)
        assert await talk.hear() is None
    return error


def web(hub: Hub, token: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=hub.service, headers={"Authorization": f"Bearer {token}"}, timeout=PATIENCE_SECONDS
    )


async def test_a_ban_ends_open_sockets_and_refuses_new_ones_until_it_is_lifted(hub: Hub) -> None:
    talk, token = await connect(hub, "ben"), hub.token("ben")
    await talk.ask("never ends", "stuck")
    await talk.until(Admitted)
    async with web(hub, hub.token("sue")) as sue, web(hub, token) as ben:
        order = {"user": "ben", "reason": "for a test"}
        assert (await sue.post("api/sysop/ban", json=order)).status_code == 204
        assert (await last_words(talk)).error.code == "banned"
        refused = await ben.get("api/me")
        assert refused.status_code == 403
        assert refused.json()["error"]["code"] == "banned"
        with pytest.raises(RealmError):
            async with RealmClient(hub.service, token) as again:
                await again.ask("Hello")
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (await sue.get("api/lanes")).json()["lanes"][2].get("running"):
                await asyncio.sleep(0.05)
        assert (await sue.post("api/sysop/unban", json=order)).status_code == 204
        assert (await ben.get("api/me")).status_code == 200


async def test_who_leaves_the_group_is_let_in_no_longer_on_open_sockets_too(hub: Hub) -> None:
    hub.add("dan", group="mtor-users")
    talk = await connect(hub, "dan")
    hub.api("DELETE", "groups/mtor-users/users", json={"users": ["dan"]})
    assert (await last_words(talk)).error.code == "forbidden"


async def test_who_is_deleted_at_the_hub_is_let_in_no_longer_on_open_sockets_too(hub: Hub) -> None:
    hub.add("eva", group="mtor-users")
    talk = await connect(hub, "eva")
    hub.api("DELETE", "users/eva")
    assert (await last_words(talk)).error.code == "unauthenticated"


async def test_who_is_renamed_at_the_hub_is_off_the_socket_of_the_old_name(hub: Hub) -> None:
    hub.add("kay", group="mtor-users")
    token = hub.token("kay")
    talk = Talk(await dial(hub.service.replace("http", "ws", 1) + "ngram", token))
    await talk.say(Hello())
    await talk.hear()
    await talk.ask("as kay")
    query = (await talk.until(Settled)).query
    hub.api("PATCH", "users/kay", json={"name": "kate"})
    error = await last_words(talk)
    assert error.error.code == "unauthenticated"
    assert "kate" in error.error.message
    async with web(hub, token) as kate:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (await kate.get("api/me")).json().get("user") != "kate":
                await asyncio.sleep(0.05)
        assert (await kate.get(f"api/queries/{query}")).status_code == 404


async def test_a_ban_outlasts_that_one_is_deleted_at_the_hub_and_comes_again(hub: Hub) -> None:
    hub.add("lee", group="mtor-users")
    old = hub.token("lee")
    order = {"user": "lee", "reason": "for a test"}
    async with web(hub, hub.token("sue")) as sue, web(hub, old) as lee:
        asked = await lee.post("api/queries", json=asking())
        query = asked.json()["query"]
        assert (await sue.post("api/sysop/ban", json=order)).status_code == 204
        hub.api("DELETE", "users/lee")
        hub.add("lee", group="mtor-users")
        async with web(hub, hub.token("lee")) as again:
            refused = await again.get("api/me")
            assert refused.json()["error"]["code"] == "banned"
            async with asyncio.timeout(PATIENCE_SECONDS):
                while (await lee.get("api/me")).status_code != 401:  # the token died with them
                    await asyncio.sleep(0.05)
            assert (await sue.post("api/sysop/unban", json=order)).status_code == 204
            # By the name one is known here, as at the Hub's homes.
            assert (await again.get(f"api/queries/{query}")).status_code == 200


async def test_one_who_becomes_a_sysop_is_one_without_connecting_again(hub: Hub) -> None:
    hub.add("fay", group="mtor-users")
    async with web(hub, hub.token("fay")) as fay:
        assert (await fay.get("api/sysop/people")).status_code == 403
        hub.add("fay", group="mtor-sysops")
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (await fay.get("api/sysop/people")).status_code != 200:
                await asyncio.sleep(0.05)


async def test_one_who_is_made_a_guest_is_one_on_an_open_socket_too(hub: Hub) -> None:
    hub.add("ivy", group="mtor-users")
    talk = await connect(hub, "ivy")
    await talk.ask("as a user")
    await talk.until(Settled)
    hub.add("ivy", group="mtor-guests")
    hub.api("DELETE", "groups/mtor-users/users", json={"users": ["ivy"]})
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            await talk.ask("as a guest")
            told = await talk.until(Settled, Refused)
            if isinstance(told, Refused):
                break
    assert told.error.rule == "queries_per_minute"
    talk.close()


async def test_a_hub_that_hangs_stops_nobody_who_is_known(hub: Hub) -> None:
    known, unknown = hub.token("ann"), hub.token("ben")
    talk = await connect(hub, "ann")
    async with web(hub, known) as ann, web(hub, unknown) as ben:
        assert (await ann.get("api/me")).status_code == 200
        with hub.frozen():
            began = time.monotonic()
            waits = asyncio.create_task(ben.get("api/me"))
            for _ in range(3):
                assert (await ann.get("health")).status_code == 200
                assert (await ann.get("api/me")).status_code == 200
            assert not waits.done()
            await talk.ask("still there?")
            assert (await talk.until(Settled)).model == "echo"
            while time.monotonic() - began < 2:  # the Hub's silence is what is tested
                assert (await ann.get("api/me")).status_code == 200
        assert (await waits).status_code in (200, 503)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (await ben.get("api/me")).status_code != 200:
                await asyncio.sleep(0.1)
    talk.close()


async def test_who_is_known_goes_on_while_the_hub_is_down(hub: Hub) -> None:
    token = hub.token("ann")
    async with RealmClient(hub.service, token) as ann:
        assert (await ann.ask("before")).text == "before"
        hub.end("hub")
        try:
            assert (await ann.ask("meanwhile")).text == "meanwhile"
            async with httpx.AsyncClient(timeout=PATIENCE_SECONDS) as http:
                stranger = await http.get(
                    hub.service + "api/me", headers={"Authorization": "Bearer made-up"}
                )
            assert stranger.status_code == 503
        finally:
            hub.start("hub")
        assert (await ann.ask("after")).text == "after"


@pytest.mark.parametrize("part", ["hub", "proxy", "realm"])
async def test_a_restart_in_mid_answer_loses_nothing(hub: Hub, part: str) -> None:
    words = " ".join(f"word{number}" for number in range(100))
    async with RealmClient(hub.service, hub.token("ann")) as ann:
        running = await ann.submit(Query.ask(words, "long"))
        seen = 0
        async for event in running.events():
            if isinstance(event, Chunk):
                seen += 1
            if seen == 2:
                seen += 1
                await asyncio.to_thread(hub.end, part)
                await asyncio.to_thread(hub.start, part)
        answer = await running.answer()
        assert answer.text.split() == words.split()


async def test_a_browser_stays_signed_in_over_a_restart_of_the_realm(hub: Hub) -> None:
    browser = hub.sign_in("ann")
    assert browser.get("/services/mtor/", follow_redirects=True).status_code == 200
    await asyncio.to_thread(hub.end, "realm")
    await asyncio.to_thread(hub.start, "realm")
    assert browser.get("/services/mtor/api/me").json()["user"] == "ann"


async def test_banned_is_an_error_that_the_client_names(hub: Hub) -> None:
    async with web(hub, hub.token("sue")) as sue:
        hub.add("hal", group="mtor-users")
        token = hub.token("hal")
        async with RealmClient(hub.service, token) as hal:
            await hal.ask("Hello")
            await sue.post("api/sysop/ban", json={"user": "hal", "reason": "for a test"})
            with pytest.raises(Banned, match="for a test"):
                await hal.me()
