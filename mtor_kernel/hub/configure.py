"""What JupyterHub must be told of a realm: ``configure(c)`` in ``jupyterhub_config.py``.

Every part is plain configuration of the Hub's own, added to what stands there and never in its
place; what is set afterwards wins. Doing it twice changes nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from traitlets import Bool, Dict, Integer, Unicode
from traitlets.config import Config, Configurable
from traitlets.config.loader import LazyConfigValue

from mtor_kernel.hub.scopes import GROUPS, SCOPE_ALL, check_roles, custom_scopes
from mtor_kernel.protocol.errors import BadInput
from mtor_kernel.protocol.identity import SCOPE_SYSOP

#: Where `locate` looks: the realm's address as notebook servers reach it.
ADDRESS_VARIABLE = "MTOR_HUB_SERVICE"
#: Holds the token of a realm that the Hub does not start itself.
TOKEN_VARIABLE = "MTOR_SERVICE_TOKEN"  # noqa: S105 a name
#: How long the Hub's start waits for a realm of its own: the first start after an update changes
#: the database, on a machine that may have much to do. One that has ended is not waited for.
MANAGED_SECONDS = 300
#: What a notebook server's token may in any case, as JupyterHub sets it where nobody else does.
_SERVER_SCOPES = ["users:activity!user", "access:servers!server"]


class HubSetup(Configurable):
    """How a realm stands beside its Hub. Set on ``c.HubSetup``, before ``configure(c)``."""

    name = Unicode("mtor", config=True, help="The service's name at the Hub. Default: mtor")
    url = Unicode(
        "http://127.0.0.1:8103",
        config=True,
        help="Where the realm listens, as the Hub's proxy reaches it. Default: loopback, port 8103",
    )
    address = Unicode(
        "",
        config=True,
        help="Where notebook servers reach the realm; empty: at `url`. Default: empty",
    )
    managed = Bool(
        True,
        config=True,
        help="The Hub starts the realm; otherwise another supervisor does. Default: True",
    )
    realm_config = Unicode(
        "", config=True, help="The realm's own configuration file, where managed. Default: empty"
    )
    data_dir = Unicode(
        "", config=True, help="The realm's data directory, where managed. Default: the Hub user's"
    )
    everybody = Bool(
        True,
        config=True,
        help="Every user of the Hub may ask; otherwise the groups' members only. Default: True",
    )
    role_of_group = Dict(
        key_trait=Unicode(),
        value_trait=Unicode(),
        default_value=GROUPS,
        config=True,
        help="The role of each of the Hub's groups. Default: mtor-guests, mtor-users, …",
    )
    timeout_seconds = Integer(
        2,
        config=True,
        help="How long the Hub's start waits for a realm that is not managed. Default: 2",
    )

    def apply(self, c: Config) -> list[str]:
        """Add everything to the Hub's configuration; return what was done, a line each.

        Raises
        ------
        BadInput
            What is set for the realm contradicts itself, or what the operator has written of it.
        """
        done: list[str] = []
        self._read_entry(c)
        self._scopes(c, done.append)
        self._service(c, done.append)
        self._roles(c, done.append)
        self._servers(c, done.append)
        return done

    def prefix(self, c: Config) -> str:
        """Return the path below which the realm is served; begins and ends with a slash."""
        base = c.JupyterHub.get("base_url", "/") if "JupyterHub" in c else "/"
        if "bind_url" in c.JupyterHub and "base_url" not in c.JupyterHub:
            base = urlsplit(c.JupyterHub.bind_url).path or "/"
        return f"/{base.strip('/')}/services/{self.name}/".replace("//", "/")

    def _read_entry(self, c: Config) -> None:
        """Take over what the operator has written of the service where they did: it stays."""
        services = _list(c.JupyterHub, "services")
        mine: dict[str, Any] = next(
            (each for each in services if each.get("name") == self.name), {}
        )
        written: dict[str, Any] = {}
        if "url" in mine:
            written["url"] = mine["url"]
        if "command" in mine or "api_token" in mine:
            written["managed"] = "command" in mine
        for trait, value in written.items():
            if trait in c.HubSetup and c.HubSetup[trait] != value:
                raise BadInput(
                    f"HubSetup.{trait} is {c.HubSetup[trait]!r}, and JupyterHub.services has the "
                    f"service {self.name!r} otherwise already: set it before the first "
                    "configure(c), or change that entry only."
                )
            setattr(self, trait, value)
        place = urlsplit(self.url)
        if place.scheme not in ("http", "https") or not place.hostname or place.path.strip("/"):
            raise BadInput(
                f"HubSetup.url is {self.url!r}: name where the realm listens by http://HOST:PORT "
                "alone. The Hub's own path is put behind it."
            )
        check_roles("HubSetup.role_of_group", self.role_of_group)

    def _scopes(self, c: Config, tell: Callable[[str], None]) -> None:
        known = _dict(c.JupyterHub, "custom_scopes")
        for name, scope in custom_scopes().items():
            known.setdefault(name, scope)
        tell(f"JupyterHub.custom_scopes: {', '.join(custom_scopes())}")

    def _service(self, c: Config, tell: Callable[[str], None]) -> None:
        wanted: dict[str, Any] = {
            "name": self.name,
            "url": self.url,
            "oauth_no_confirm": True,
            "oauth_client_allowed_scopes": [SCOPE_ALL, SCOPE_SYSOP],
        }
        services = _list(c.JupyterHub, "services")
        mine = next((each for each in services if each.get("name") == self.name), None)
        token = (mine or {}).get("api_token")
        if self.managed:
            wanted |= self._command()
        else:
            wanted["api_token"] = token or _token()
        if _hub_version() >= (6,):
            # The Hub does without a realm that is not its own; without one of its own it ends.
            wanted["timeout"] = MANAGED_SECONDS if self.managed else self.timeout_seconds
        if mine is None:
            services.append(wanted)
        else:
            # What the operator has written of it stays.
            mine |= {key: value for key, value in wanted.items() if key not in mine}
        how = "started by the Hub" if self.managed else "started by a supervisor of its own"
        tell(f"JupyterHub.services: {self.name} at {self.url}, {how}, below {self.prefix(c)}")

    def _command(self) -> dict[str, Any]:
        command = [sys.executable, "-m", "mtor_kernel.hub"]
        command += ["--config", str(Path(self.realm_config).resolve())] if self.realm_config else []
        environment = {"MTOR_DATA": str(Path(self.data_dir).resolve())} if self.data_dir else {}
        # A service gets little of the Hub's environment; keys of remote models belong to workers.
        for name in ("MTOR_DATA", "HOME", "XDG_DATA_HOME"):
            if name in os.environ:
                environment.setdefault(name, os.environ[name])
        return {"command": command, "environment": environment}

    def _roles(self, c: Config, tell: Callable[[str], None]) -> None:
        roles = _list(c.JupyterHub, "load_roles")
        asking = [SCOPE_ALL, f"access:services!service={self.name}"]
        ruling = [SCOPE_SYSOP, f"access:services!service={self.name}"]
        sysops = [name for name, role in self.role_of_group.items() if role == "sysop"]
        if self.everybody:
            _grant(roles, {"name": "user", "scopes": ["self"]}, asking)
            tell("JupyterHub.load_roles: user, so that everybody may ask")
        else:
            groups = list(self.role_of_group)
            _grant(roles, {"name": "mtor-people", "groups": groups, "scopes": []}, asking)
            tell(f"JupyterHub.load_roles: mtor-people, for {', '.join(groups)}")
        if sysops:
            _grant(roles, {"name": "mtor-sysops", "groups": sysops, "scopes": []}, ruling)
            tell(f"JupyterHub.load_roles: mtor-sysops, for {', '.join(sysops)} (and Hub admins)")
        if not _manages_groups(c):
            known = _dict(c.JupyterHub, "load_groups")
            for name in self.role_of_group:
                known.setdefault(name, {"users": []})
            tell(f"JupyterHub.load_groups: {', '.join(self.role_of_group)}")

    def _servers(self, c: Config, tell: Callable[[str], None]) -> None:
        address = (self.address or self.url.rstrip("/") + self.prefix(c)).rstrip("/") + "/"
        ours = [SCOPE_ALL, SCOPE_SYSOP, f"access:services!service={self.name}"]
        for name in _spawners(c, "server_token_scopes"):
            if callable(c[name].get("server_token_scopes")):
                tell(f"{name}.server_token_scopes: a function of yours; have it return ours too")
                continue
            scopes = _list(c[name], "server_token_scopes", _SERVER_SCOPES)
            scopes += [scope for scope in ours if scope not in scopes]
            tell(f"{name}.server_token_scopes: {', '.join(scopes)}")
        for name in _spawners(c, "environment"):
            _dict(c[name], "environment").setdefault(ADDRESS_VARIABLE, address)
            tell(f"{name}.environment: {ADDRESS_VARIABLE}={c[name].environment[ADDRESS_VARIABLE]}")


def configure(c: Config, **traits: Any) -> HubSetup:
    """Tell JupyterHub of the realm; `traits` go before those that are set on ``c.HubSetup``.

    Raises
    ------
    BadInput
        There is no such trait, what is set contradicts itself or the service's entry, or the token
        is not in the environment of a realm that another supervisor starts.
    """
    unknown = traits.keys() - HubSetup.class_trait_names(config=True)
    if unknown:
        raise BadInput(f"HubSetup has no {', '.join(sorted(unknown))}: see docs/operator/hub.md.")
    c.HubSetup.update(traits)
    setup = HubSetup(config=c)
    setup.apply(c)
    return setup


def _token() -> str:
    token = os.environ.get(TOKEN_VARIABLE, "")
    if not token:
        raise BadInput(
            f"Set {TOKEN_VARIABLE} for the Hub, and the same as JUPYTERHUB_API_TOKEN for the "
            "realm: `openssl rand -hex 32` makes one."
        )
    return token


def _hub_version() -> tuple[int, ...]:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return (int(version("jupyterhub").partition(".")[0]),)
    except PackageNotFoundError:
        return ()


def _manages_groups(c: Config) -> bool:
    """Tell whether the Hub's authenticator decides who is in which group."""
    return any(name.endswith("Authenticator") and c[name].get("manage_groups") for name in c)


def _grant(roles: list[dict[str, Any]], role: dict[str, Any], scopes: list[str]) -> None:
    """Add `scopes` to the role of this name, which is made if it is not there."""
    mine = next((each for each in roles if each["name"] == role["name"]), None)
    if mine is None:
        roles.append(mine := role)
    for key, value in role.items():
        mine.setdefault(key, value)
    held = list(mine["scopes"])
    mine["scopes"] = held + [scope for scope in scopes if scope not in held]


def _spawners(c: Config, trait: str) -> list[str]:
    """Return the section of all spawners, and those of one kind that hide its `trait`."""
    kinds = (name for name in c if name.endswith("Spawner") and name != "Spawner")
    return ["Spawner", *sorted(name for name in kinds if trait in c[name])]


def _list(section: Config, name: str, default: list[Any] | None = None) -> list[Any]:
    """Return the list of a setting, as it stands so far, to be added to."""
    value = section.get(name)
    if isinstance(value, LazyConfigValue):
        value = value.get_value(list(default or []))
    section[name] = list(default or []) if value is None else list(value)
    found: list[Any] = section[name]
    return found


def _dict(section: Config, name: str) -> dict[str, Any]:
    """Return the dictionary of a setting, as it stands so far, to be added to."""
    value = section.get(name)
    if isinstance(value, LazyConfigValue):
        value = value.get_value({})
    section[name] = {} if value is None else dict(value)
    found: dict[str, Any] = section[name]
    return found
