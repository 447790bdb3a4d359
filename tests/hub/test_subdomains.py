"""A Hub that gives every server and service a name of its own."""

from pathlib import Path

import pytest

from tests.hub.hub_process import serve_hub

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_the_realm_is_reached_at_its_own_name_and_from_everybodys_server(tmp_path: Path) -> None:
    with serve_hub(tmp_path / "hub", domain="hub.test") as hub:
        hub.add("ann")
        web = hub.sign_in("ann")
        page = web.get(hub.service, follow_redirects=True)
        assert page.status_code == 200, page.text
        assert str(page.url) == hub.service
        assert "<b>ann</b> (user)" in page.text
        assert web.get(hub.service + "api/me").json()["user"] == "ann"
        hub.spawn("ann")
        server = hub.named.replace("://", "://ann.") + "/user/ann/"
        web.get(server + "api/status", follow_redirects=True)
        web.get(server + "lab", follow_redirects=True)
        me = web.get(server + "mtor/api/me")
        assert me.status_code == 200, me.text
        assert me.json()["user"] == "ann"
