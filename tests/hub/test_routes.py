"""Who may go where at a real Hub: every address and method, by its proxy, by every credential.

The rows are those of `tests/gateway/test_routes.py`, where a new address without one fails.
"""

import contextlib
import re
import time
from collections.abc import Callable

import httpx
import pytest

from mtor_kernel.gateway.app import ROUTES
from tests.gateway.test_routes import ROWS, methods_of
from tests.hub.hub_process import PATIENCE_SECONDS, Hub

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

#: In the place of a status: one is let in, whatever is then wrong with the request.
IN = 0


def by_token(token: str) -> Callable[[Hub], httpx.Client]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return lambda hub: httpx.Client(headers=headers, timeout=PATIENCE_SECONDS)


def of(name: str, *scopes: str) -> Callable[[Hub], httpx.Client]:
    return lambda hub: by_token(hub.token(name, *scopes))(hub)


def expired(hub: Hub) -> httpx.Client:
    """Somebody's token that was good until a moment ago, and was used."""
    made = hub.api("POST", "users/ann/tokens", json={"expires_in": 1})["token"]
    return until_refused(hub, made)


def revoked(hub: Hub) -> httpx.Client:
    made = hub.api("POST", "users/ann/tokens", json={})
    hub.api("DELETE", f"users/ann/tokens/{made['id']}")
    return until_refused(hub, made["token"])


def until_refused(hub: Hub, token: str) -> httpx.Client:
    deadline = time.monotonic() + PATIENCE_SECONDS
    headers = {"Authorization": f"token {token}"}
    with httpx.Client(headers=headers, timeout=PATIENCE_SECONDS) as web:
        while web.get(f"{hub.url}/hub/api/user").status_code == 200:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    return by_token(token)(hub)


def banned(hub: Hub) -> httpx.Client:
    hub.add("ned")
    web = of("ned")(hub)
    assert web.get(hub.service + "api/me").status_code == 200
    order = {"user": "ned", "reason": "for these tests"}
    with of("sue")(hub) as sue:
        assert sue.post(hub.service + "api/sysop/ban", json=order).status_code == 204
    return web


def by_cookie(name: str) -> Callable[[Hub], httpx.Client]:
    """A browser that has signed in, with the token against forgery."""

    def make(hub: Hub) -> httpx.Client:
        web = hub.sign_in(name)
        web.get("/services/mtor/", follow_redirects=True)
        web.headers["X-XSRFToken"] = web.cookies.get("_xsrf", path="/services/mtor/") or ""
        return web

    return make


#: Each credential, and the answer to it at addresses for a person, a sysop and a worker.
CREDENTIALS: dict[str, tuple[Callable[[Hub], httpx.Client], int, int, int]] = {
    "none": (by_token(""), 401, 401, 401),
    "made up": (by_token("made-up"), 401, 401, 401),
    "expired": (expired, 401, 401, 401),
    "revoked": (revoked, 401, 401, 401),
    "for the Hub only": (of("ann", "read:users!user=ann"), 403, 403, 403),
    "a sysop's for the Hub only": (of("root", "read:users!user=root"), 403, 403, 403),
    "for pictures only": (of("ann", "custom:mtor:query:image"), IN, 403, 403),
    "a user's": (of("ann"), IN, 403, 403),
    "a user's cookie": (by_cookie("ben"), IN, 403, 403),
    "a sysop's cookie": (by_cookie("sue"), IN, 403, 403),
    "a Hub admin's cookie": (by_cookie("root"), IN, 403, 403),
    "a sysop's, narrowed": (of("sue", "custom:mtor:query"), IN, 403, 403),
    "a sysop's": (of("sue"), IN, IN, 403),
    "a Hub admin's": (of("root"), IN, IN, 403),
    "of one who is banned": (banned, 403, 403, 403),
}


@pytest.mark.parametrize("credential", CREDENTIALS)
def test_who_may_go_where(hub: Hub, credential: str) -> None:
    make, person, sysop, worker = CREDENTIALS[credential]
    expected = {"anybody": IN, "person": person, "sysop": sysop, "worker": worker}
    wrong = []
    with contextlib.closing(make(hub)) as web:
        for path, handler in ROUTES:
            address = hub.service + re.sub(r"\{\w+\}", "0" * 32, path)
            for method in methods_of(handler):
                answer = web.request(method, address, content=b"{")
                status, wanted = answer.status_code, expected[ROWS[path]]
                is_in = status not in (401, 403) and status < 500
                if (not is_in) if wanted == IN else (status != wanted):
                    wrong.append((method, path, status, answer.text[:100]))
                elif wanted:
                    assert answer.json()["error"]["message"]
    assert not wrong
