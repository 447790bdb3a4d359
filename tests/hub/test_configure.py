"""What a Hub is told of a realm: added, never in the place of what an operator has written."""

import copy
from pathlib import Path
from typing import Any

import pytest
from traitlets.config import Config

from mtor_kernel.cli import main
from mtor_kernel.hub import configure
from mtor_kernel.hub.scopes import custom_scopes, user_of
from mtor_kernel.protocol.errors import BadInput, Forbidden, Unauthenticated
from mtor_kernel.protocol.identity import SCOPE_QUERY, SCOPE_SYSOP, Role
from mtor_kernel.protocol.query import Modality

ROLES = {"mtor-guests": "guest", "mtor-users": "user", "mtor-sysops": "sysop", "staff": "sysop"}


def configured(c: Config | None = None, **traits: Any) -> Config:
    c = Config() if c is None else c
    configure(c, **traits)
    return c


def service(c: Config) -> dict[str, Any]:
    return next(each for each in c.JupyterHub.services if each["name"] == "mtor")


def role(c: Config, name: str) -> dict[str, Any]:
    return next(each for each in c.JupyterHub.load_roles if each["name"] == name)


def test_one_line_is_enough() -> None:
    c = configured()
    assert service(c)["url"] == "http://127.0.0.1:8103"
    assert service(c)["command"][1:] == ["-m", "mtor_kernel.hub"]
    assert "custom:mtor:all" in role(c, "user")["scopes"]
    assert "self" in role(c, "user")["scopes"]
    assert role(c, "mtor-sysops")["groups"] == ["mtor-sysops"]
    assert c.Spawner.environment["MTOR_HUB_SERVICE"] == "http://127.0.0.1:8103/services/mtor/"
    assert c.Spawner.server_token_scopes[:2] == ["users:activity!user", "access:servers!server"]


def test_twice_is_as_once() -> None:
    c = configured()
    once = copy.deepcopy(c)
    assert configured(c) == once


def test_what_an_operator_has_written_stays() -> None:
    c = Config()
    c.JupyterHub.services = [{"name": "cull", "admin": True}, {"name": "mtor", "url": "http://x:1"}]
    c.JupyterHub.load_roles = [{"name": "user", "scopes": ["self", "shares!user"]}]
    c.JupyterHub.load_groups = {"mtor-sysops": {"users": ["sue"]}}
    c.Spawner.environment = {"A": "b"}
    c.Spawner.server_token_scopes = ["inherit"]
    configured(c)
    assert service(c)["url"] == "http://x:1"
    assert len(c.JupyterHub.services) == 2
    assert role(c, "user")["scopes"][:2] == ["self", "shares!user"]
    assert c.JupyterHub.load_groups["mtor-sysops"] == {"users": ["sue"]}
    assert c.Spawner.environment["A"] == "b"
    assert c.Spawner.server_token_scopes[0] == "inherit"


def test_what_is_appended_in_the_hubs_own_way_stays_too() -> None:
    c = Config()
    c.JupyterHub.services.append({"name": "cull"})
    c.JupyterHub.load_groups.update({"physics": {"users": ["ann"]}})
    configured(c)
    assert [each["name"] for each in c.JupyterHub.services] == ["cull", "mtor"]
    assert "physics" in c.JupyterHub.load_groups


def test_an_environment_of_one_kind_of_spawner_is_reached_as_well() -> None:
    c = Config()
    c.KubeSpawner.environment = {"A": "b"}
    configured(c)
    assert "MTOR_HUB_SERVICE" in c.KubeSpawner.environment


def test_a_hub_below_a_path_has_its_realm_below_it() -> None:
    c = Config()
    c.JupyterHub.base_url = "/jupyter/"
    configured(c)
    assert c.Spawner.environment["MTOR_HUB_SERVICE"].endswith(":8103/jupyter/services/mtor/")


def test_knobs_are_plain_traits() -> None:
    c = Config()
    c.HubSetup.name = "ai"
    c.HubSetup.everybody = False
    c.HubSetup.address = "http://realm:9000/services/ai"
    configured(c)
    assert [each["name"] for each in c.JupyterHub.services] == ["ai"]
    assert "access:services!service=ai" in role(c, "mtor-people")["scopes"]
    assert not [each for each in c.JupyterHub.load_roles if each["name"] == "user"]
    assert c.Spawner.environment["MTOR_HUB_SERVICE"] == "http://realm:9000/services/ai/"


def test_an_entry_of_the_operators_says_where_the_realm_is_and_who_starts_it() -> None:
    c = Config()
    c.JupyterHub.services = [{"name": "mtor", "url": "http://10.0.0.1:9", "api_token": "x" * 32}]
    once = copy.deepcopy(configured(c))
    assert configured(c) == once
    assert "command" not in service(c)
    assert service(c)["api_token"] == "x" * 32
    assert c.Spawner.environment["MTOR_HUB_SERVICE"] == "http://10.0.0.1:9/services/mtor/"
    c = Config()
    c.JupyterHub.services = [{"name": "mtor", "command": ["my-realm"]}]
    assert service(configured(c))["command"] == ["my-realm"]


def test_a_second_call_that_would_have_it_otherwise_says_so() -> None:
    for otherwise in ({"managed": False}, {"url": "http://127.0.0.1:9"}):
        with pytest.raises(BadInput, match="before the first configure"):
            configured(configured(), **otherwise)
    c = configured(configured(), managed=True)
    assert "command" in service(c)


def test_what_is_set_after_it_wins() -> None:
    c = configured()
    service(c)["url"] = "http://10.0.0.1:9"
    c.Spawner.environment["MTOR_HUB_SERVICE"] = "http://mine/"
    assert configured(c).Spawner.environment["MTOR_HUB_SERVICE"] == "http://mine/"
    assert service(c)["url"] == "http://10.0.0.1:9"


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8103", "http://127.0.0.1:8103/services/mtor/", "unix:///run/mtor", ""]
)
def test_an_address_at_which_no_realm_can_listen_is_refused(url: str) -> None:
    with pytest.raises(BadInput, match="http://HOST:PORT"):
        configured(url=url)


def test_a_role_that_there_is_not_is_refused_before_the_hub_starts() -> None:
    with pytest.raises(BadInput, match="'boss'; the roles are guest"):
        configured(role_of_group={"staff": "boss"})


def test_one_kind_of_spawner_with_scopes_of_its_own_has_ours_too() -> None:
    c = Config()
    c.DockerSpawner.server_token_scopes = ["users:activity!user"]
    c.KubeSpawner.server_token_scopes = lambda spawner: []
    configured(c)
    assert "custom:mtor:all" in c.DockerSpawner.server_token_scopes
    assert "custom:mtor:all" in c.Spawner.server_token_scopes
    assert callable(c.KubeSpawner.server_token_scopes)


def test_tuples_and_roles_without_scopes_are_taken_as_the_hub_takes_them() -> None:
    c = Config()
    c.JupyterHub.services = ({"name": "cull"},)
    c.JupyterHub.load_roles = ({"name": "user", "scopes": ("self",)}, {"name": "mtor-sysops"})
    c.JupyterHub.load_groups = {"mtor-sysops": ["sue"]}
    once = copy.deepcopy(configured(c))
    assert configured(c) == once
    assert role(c, "user")["scopes"][:2] == ["self", "custom:mtor:all"]
    assert role(c, "mtor-sysops")["groups"] == ["mtor-sysops"]
    assert c.JupyterHub.load_groups["mtor-sysops"] == ["sue"]


@pytest.mark.parametrize(
    ("section", "value", "prefix"),
    [
        ("base_url", "jupyter", "/jupyter/services/mtor/"),
        ("base_url", "/a/b/", "/a/b/services/mtor/"),
        ("bind_url", "http://:8000/jupyter", "/jupyter/services/mtor/"),
        ("bind_url", "http://:8000", "/services/mtor/"),
        ("subdomain_host", "https://hub.example", "/services/mtor/"),
    ],
)
def test_wherever_the_hub_is_the_servers_are_told(section: str, value: str, prefix: str) -> None:
    c = Config()
    c.JupyterHub[section] = value
    configured(c)
    assert c.Spawner.environment["MTOR_HUB_SERVICE"] == "http://127.0.0.1:8103" + prefix


def test_groups_that_the_sign_in_manages_are_not_made() -> None:
    c = Config()
    c.GenericOAuthenticator.manage_groups = True
    assert "load_groups" not in configured(c).JupyterHub


def test_a_realm_that_others_start_has_its_token_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(BadInput, match="MTOR_SERVICE_TOKEN"):
        configured(managed=False)
    monkeypatch.setenv("MTOR_SERVICE_TOKEN", "x" * 32)
    assert service(configured(managed=False))["api_token"] == "x" * 32


def test_a_knob_that_is_not_there_is_named() -> None:
    with pytest.raises(BadInput, match="mangaed"):
        configured(mangaed=False)


def test_every_modality_has_a_scope() -> None:
    assert {f"{SCOPE_QUERY}:{each}" for each in Modality} < custom_scopes().keys()


def person(*groups: str, admin: bool = False, scopes: tuple[str, ...] = (SCOPE_QUERY,)) -> Any:
    return {
        "kind": "user",
        "name": "ann",
        "admin": admin,
        "groups": list(groups),
        "scopes": ["read:users:name!user=ann", *scopes],
    }


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ((), Role.USER),
        (("physics",), Role.USER),
        (("mtor-guests",), Role.GUEST),
        (("mtor-guests", "mtor-users"), Role.USER),
        (("mtor-users", "staff"), Role.SYSOP),
    ],
)
def test_of_several_groups_the_one_that_gives_most_counts(
    groups: tuple[str, ...], expected: Role
) -> None:
    user = user_of(person(*groups), ROLES)
    assert user.role is expected
    assert user.groups == set(groups)


def test_an_admin_is_a_sysop_by_a_token_that_may_all_and_not_by_another() -> None:
    whole = user_of(person(admin=True, scopes=("custom:mtor:all", SCOPE_QUERY)), ROLES)
    part = user_of(person(admin=True), ROLES)
    assert (whole.role, whole.may(SCOPE_SYSOP)) == (Role.SYSOP, True)
    assert (part.role, part.may(SCOPE_SYSOP)) == (Role.SYSOP, False)
    assert not user_of(person(scopes=("custom:mtor:all", SCOPE_QUERY)), ROLES).may(SCOPE_SYSOP)


def test_a_scope_that_is_narrowed_to_another_person_is_worth_nothing() -> None:
    assert user_of(person(scopes=(f"{SCOPE_QUERY}!user=ann",)), ROLES).may(SCOPE_QUERY)
    assert not user_of(person(scopes=(f"{SCOPE_QUERY}!user=eve",)), ROLES).may(SCOPE_QUERY)


def test_a_part_of_a_scope_opens_the_door_and_no_more() -> None:
    user = user_of(person(scopes=(f"{SCOPE_QUERY}:image",)), ROLES)
    user.require_entry(SCOPE_QUERY)
    user.require(f"{SCOPE_QUERY}:image")
    with pytest.raises(Forbidden):
        user.require(f"{SCOPE_QUERY}:chat")
    with pytest.raises(Forbidden):
        user.require_entry(SCOPE_SYSOP)


def test_a_service_is_nobody_else() -> None:
    bot = {"kind": "service", "name": "bot", "scopes": [SCOPE_QUERY]}
    assert user_of(bot, ROLES).name == "service:bot"
    with pytest.raises(Unauthenticated):
        user_of({**person(), "name": "service:bot"}, ROLES)


def doctor(path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    return main(["doctor", "--hub", str(path)]), capsys.readouterr().out


def test_the_doctor_tells_what_was_set_and_shows_no_secret(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MTOR_SERVICE_TOKEN", "canary-in-the-environment")
    path = tmp_path / "jupyterhub_config.py"
    path.write_text(
        "c = get_config()\nc.HubSetup.url = 'http://127.0.0.1:9'\n"
        "from mtor_kernel.hub import configure\nconfigure(c)\n"
    )
    status, told = doctor(path, capsys)
    assert status == 0
    for words in ("/services/mtor/", "custom:mtor:query:image", "MTOR_HUB_SERVICE=http://"):
        assert words in told
    path.write_text(path.read_text().replace("configure(c)", "configure(c, managed=False)"))
    status, told = doctor(path, capsys)
    assert status == 1
    assert "no realm answers" in told
    assert "JUPYTERHUB_CLIENT_ID=service-mtor" in told
    assert "canary" not in told


def test_the_doctor_finds_that_nothing_was_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "jupyterhub_config.py"
    path.write_text("c = get_config()\n")
    status, told = doctor(path, capsys)
    assert status == 1
    assert "configure(c)" in told
    assert doctor(tmp_path / "nowhere.py", capsys)[0] == 1


def test_the_doctor_looks_where_the_operators_own_entry_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "jupyterhub_config.py"
    path.write_text(
        "c = get_config()\n"
        "c.JupyterHub.base_url = '/jupyter/'\n"
        "mine = {'name': 'mtor', 'url': 'http://127.0.0.1:9', 'command': ['r']}\n"
        "c.JupyterHub.services = [mine]\n"
        "from mtor_kernel.hub import configure\nconfigure(c)\n"
    )
    status, told = doctor(path, capsys)
    assert status == 0
    assert "no realm answers at http://127.0.0.1:9/jupyter/services/mtor/" in told


@pytest.mark.parametrize("line", ["c.JupyterHub.port = os.environ['NOT_THERE']", "this is none"])
def test_the_doctor_says_of_a_configuration_that_it_cannot_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    path = tmp_path / "jupyterhub_config.py"
    path.write_text(f"import os\nc = get_config()\n{line}\n")
    status, told = doctor(path, capsys)
    assert status == 1
    assert "cannot be read" in told
