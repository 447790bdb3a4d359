"""Who is who: the Hub's tokens, scopes, groups and sign-in, before a real Hub."""

import asyncio

import httpx
import pytest

from mtor_kernel.client import RealmClient
from mtor_kernel.hub.people import HubPeople
from mtor_kernel.hub.realm import HubRealm
from mtor_kernel.protocol.errors import Forbidden
from mtor_kernel.protocol.ngram import Error, Hello
from mtor_kernel.protocol.query import Query
from tests.gateway.helpers import Talk, asking, dial
from tests.hub.hub_process import PATIENCE_SECONDS, Hub

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def ask(hub: Hub, token: str, path: str, method: str = "GET", **how: object) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.request(
        method, hub.service + path, headers=headers, timeout=PATIENCE_SECONDS, **how
    )


@pytest.mark.parametrize(("name", "role"), [("ann", "user"), ("sue", "sysop"), ("root", "sysop")])
def test_a_token_of_the_hub_says_who_one_is(hub: Hub, name: str, role: str) -> None:
    me = ask(hub, hub.token(name), "api/me").json()
    assert (me["user"], me["role"]) == (name, role)


@pytest.mark.asyncio
async def test_what_is_asked_with_a_token_of_the_hub_is_answered(hub: Hub) -> None:
    async with RealmClient(hub.service, hub.token("ann")) as realm:
        assert (await realm.ask("Hello")).text == "Hello"


@pytest.mark.parametrize("token", ["", "made-up"])
def test_who_the_hub_does_not_know_is_told_how_to_get_in(hub: Hub, token: str) -> None:
    answer = ask(hub, token, "api/me")
    assert answer.status_code == 401
    assert "Authorization" in answer.json()["error"]["message"]


def test_a_group_makes_a_role(hub: Hub) -> None:
    hub.add("cleo", group="mtor-contributors")
    hub.add("gus", group="mtor-guests")
    assert ask(hub, hub.token("cleo"), "api/me").json()["role"] == "contributor"
    assert ask(hub, hub.token("gus"), "api/me").json()["role"] == "guest"


def test_a_token_without_the_scope_is_told_its_name(hub: Hub) -> None:
    answer = ask(hub, hub.token("ann", "read:users!user=ann"), "api/me")
    assert answer.status_code == 403
    assert answer.json()["error"]["details"]["scope"] == "custom:mtor:query"


def test_a_token_for_one_modality_does_that_one(hub: Hub) -> None:
    chat = hub.token("ann", "custom:mtor:query:chat")
    image = hub.token("ann", "custom:mtor:query:image")
    assert ask(hub, chat, "api/queries", "POST", json=asking()).status_code == 202
    refused = ask(hub, image, "api/queries", "POST", json=asking())
    assert refused.status_code == 403
    assert refused.json()["error"]["details"]["scope"] == "custom:mtor:query:chat"
    assert ask(hub, image, "api/models").status_code == 200


def test_only_sysops_do_what_sysops_do(hub: Hub) -> None:
    assert ask(hub, hub.token("sue"), "api/sysop/people").status_code == 200
    assert ask(hub, hub.token("root"), "api/sysop/people").status_code == 200
    refused = ask(hub, hub.token("ann"), "api/sysop/people")
    assert refused.status_code == 403
    assert refused.json()["error"]["details"]["scope"] == "custom:mtor:sysop"


@pytest.mark.parametrize("name", ["sue", "root"])
def test_a_narrow_token_of_a_sysop_does_not_run_the_place(hub: Hub, name: str) -> None:
    narrow = hub.token(name, "custom:mtor:query")
    assert ask(hub, narrow, "api/me").json()["role"] == "sysop"
    assert ask(hub, narrow, "api/sysop/people").status_code == 403


def test_another_persons_query_answers_as_an_unknown_one_does(hub: Hub) -> None:
    mine = ask(hub, hub.token("ann"), "api/queries", "POST", json=asking()).json()["query"]
    ben = hub.token("ben")
    for method, path in (("GET", ""), ("GET", "/events"), ("DELETE", "")):
        foreign = ask(hub, ben, f"api/queries/{mine}{path}", method)
        unknown = ask(hub, ben, f"api/queries/{'0' * len(mine)}{path}", method)
        assert foreign.status_code == unknown.status_code == 404
        assert foreign.json()["error"]["code"] == unknown.json()["error"]["code"]


def test_a_browser_signs_in_by_the_hub_and_stays_signed_in(hub: Hub) -> None:
    web = hub.sign_in("ann")
    page = web.get("/services/mtor/", follow_redirects=True)
    assert page.status_code == 200
    assert "<b>ann</b> (user)" in page.text
    assert web.get("/services/mtor/api/me").json()["user"] == "ann"


def test_a_browser_changes_nothing_without_the_token_against_forgery(hub: Hub) -> None:
    web = hub.sign_in("ben")
    web.get("/services/mtor/", follow_redirects=True)
    assert web.post("/services/mtor/api/queries", json=asking()).status_code == 401
    xsrf = web.cookies.get("_xsrf", path="/services/mtor/")
    sent = web.post("/services/mtor/api/queries", json=asking(), headers={"X-XSRFToken": xsrf})
    assert sent.status_code == 202


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://evil.example", 403),
        ("null", 403),
        ("http://127.0.0.1:1", 403),  # the same machine, another server
        ("{hub}.evil.example", 403),
        ("{hub}", 202),
    ],
)
def test_a_page_of_another_site_changes_nothing_with_the_right_token_against_forgery(
    hub: Hub, origin: str, status: int
) -> None:
    web = hub.sign_in("ben")
    web.get("/services/mtor/", follow_redirects=True)
    headers = {
        "X-XSRFToken": web.cookies.get("_xsrf", path="/services/mtor/"),
        "Origin": origin.format(hub=hub.url),
    }
    sent = web.post("/services/mtor/api/queries", json=asking(), headers=headers)
    assert sent.status_code == status
    # A program's token is sent by no browser by itself: it may come from any page.
    headers = {"Authorization": f"Bearer {hub.token('ben')}", "Origin": headers["Origin"]}
    where = hub.service + "api/queries"
    by_token = httpx.post(where, json=asking(), headers=headers, timeout=PATIENCE_SECONDS)
    assert by_token.status_code == 202


def test_what_changes_at_the_hub_holds_within_half_a_minute_whatever_is_configured() -> None:
    fresh, vigil = HubPeople.fresh_seconds, HubRealm.vigil_seconds
    assert fresh.max + vigil.max <= 30
    assert fresh.default_value + vigil.default_value <= 25


@pytest.mark.asyncio
async def test_with_the_defaults_who_is_deleted_at_the_hub_is_soon_off_an_open_socket(
    hub: Hub,
) -> None:
    hub.add("zoe")
    talk = Talk(await dial(hub.service.replace("http", "ws", 1) + "ngram", hub.token("zoe")))
    await talk.say(Hello())
    await talk.hear()
    hub.api("DELETE", "users/zoe")
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert (await talk.until(Error)).error.code == "unauthenticated"


def test_a_socket_is_not_opened_by_a_cookie(hub: Hub) -> None:
    web = hub.sign_in("ann")
    web.get("/services/mtor/", follow_redirects=True)
    answer = web.get(
        "/services/mtor/ngram",
        headers={
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "x" * 22 + "==",
            "Sec-WebSocket-Protocol": "mtor.ngram.v1",
        },
    )
    assert answer.status_code == 401


@pytest.mark.parametrize("junk", ["Basic Zm9vOmJhcg==", "x", "Bearer"])
def test_a_credential_that_is_none_does_not_hide_that_one_comes_by_cookie(
    hub: Hub, junk: str
) -> None:
    web = hub.sign_in("sue")
    web.get("/services/mtor/", follow_redirects=True)
    headers = {
        "X-XSRFToken": web.cookies.get("_xsrf", path="/services/mtor/"),
        "Authorization": junk,
    }
    assert web.get("/services/mtor/api/sysop/people", headers=headers).status_code == 403
    headers["Origin"] = "https://evil.example"
    sent = web.post("/services/mtor/api/queries", json=asking(), headers=headers)
    assert sent.status_code == 403


def test_of_two_credentials_in_one_request_none_counts(hub: Hub) -> None:
    ann, sue = (f"Bearer {hub.token(name)}" for name in ("ann", "sue"))
    for first, second in ((ann, sue), (sue, ann), (ann, ann)):
        headers = [("Authorization", first), ("Authorization", second)]
        assert (
            httpx.get(hub.direct + "api/me", headers=headers, timeout=PATIENCE_SECONDS).status_code
            == 401
        )
        # The proxy passes on one of them, which is then who asks.
        passed = httpx.get(hub.service + "api/me", headers=headers, timeout=PATIENCE_SECONDS)
        assert passed.status_code == 401 or passed.json()["user"] in ("ann", "sue")


@pytest.mark.parametrize(
    "path",
    [
        "../../hub/api/users",
        "%2e%2e/%2e%2e/hub/api/users",
        "api/queries/%2e%2e%2fsysop%2fpeople",
        "api//me",
        "api/me/",
        "API/ME",
        "api/me%00",
        "api/me;x=1",
        "api/..;/sysop/people",
    ],
)
def test_an_address_that_is_written_otherwise_leads_nowhere(hub: Hub, path: str) -> None:
    token = hub.token("ann")
    for base in (hub.service, hub.direct):
        url = httpx.URL(base)
        raw = url.copy_with(raw_path=url.raw_path + path.encode())
        answer = httpx.get(
            raw, headers={"Authorization": f"Bearer {token}"}, timeout=PATIENCE_SECONDS
        )
        assert answer.status_code in (400, 403, 404), (base, answer.status_code, answer.text)


def test_a_token_in_an_address_is_refused(hub: Hub) -> None:
    answer = ask(hub, "", "api/me", params={"token": hub.token("ann")})
    assert answer.status_code == 400


@pytest.mark.asyncio
async def test_programs_of_openais_dialect_use_the_hubs_token_as_their_key(hub: Hub) -> None:
    openai = pytest.importorskip("openai")
    async with openai.AsyncOpenAI(base_url=hub.service + "v1", api_key=hub.token("ann")) as client:
        said = await client.chat.completions.create(
            model="echo", messages=[{"role": "user", "content": "Hi there"}]
        )
    assert said.choices[0].message.content == "Hi there"


@pytest.mark.asyncio
async def test_a_modality_that_is_not_held_is_refused_on_a_socket_too(hub: Hub) -> None:
    async with RealmClient(hub.service, hub.token("ann", "custom:mtor:query:image")) as realm:
        with pytest.raises(Forbidden, match="custom:mtor:query:chat"):
            await realm.submit(Query.ask("Hello", "echo"))
