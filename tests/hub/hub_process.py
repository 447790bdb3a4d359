"""A real JupyterHub with its proxy, its realm and its people, all on loopback.

Everything is started in a folder of the test and ended by process id.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.browser.labserver import BUILT, ROOT, set_up_quietly
from tests.ports import free_ports
from tests.realms import CATALOGUE

KERNELSPEC = ROOT / "kernelspec" / "mtor"
#: How long a process may take to come up or to go.
PATIENCE_SECONDS = 120.0

CONFIG = """
import os
import sys
c = get_config()
c.JupyterHub.bind_url = {public!r}
c.JupyterHub.hub_bind_url = {hub!r}
c.JupyterHub.subdomain_host = {subdomains!r}
c.ConfigurableHTTPProxy.api_url = {proxy_api!r}
c.ConfigurableHTTPProxy.command = [{proxy!r}]
c.ConfigurableHTTPProxy.should_start = False
c.JupyterHub.cleanup_servers = False
# A proxy that was started again has forgotten its routes; this is when the Hub looks.
c.JupyterHub.last_activity_interval = 2
c.JupyterHub.db_url = {database!r}
c.JupyterHub.cookie_secret_file = {secret!r}
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.Authenticator.admin_users = {{"root"}}
c.JupyterHub.spawner_class = "simple"
c.Spawner.cmd = [sys.executable, "-m", "jupyterhub.singleuser"]
c.Spawner.args = ["--ServerApp.jpserver_extensions=" + {extensions!r},
                  "--LabApp.extension_manager=readonly", "--LabApp.expose_app_in_browser=True",
                  *(["--allow-root"] if os.geteuid() == 0 else [])]
c.SimpleLocalProcessSpawner.home_dir_template = {homes!r}
# Everybody has directories of their own, in their home.
c.Spawner.env_keep = [
    name for name in os.environ if not name.startswith(("JUPYTER", "MTOR", "IPYTHON"))
]
c.Spawner.environment = {environment!r}
c.Spawner.default_url = "/lab"
c.Spawner.start_timeout = 120
c.Spawner.http_timeout = 120
c.JupyterHub.load_groups = {{"mtor-sysops": {{"users": ["sue"]}}}}
c.JupyterHub.services = [{{"name": "tester", "api_token": {tester!r}}}]
c.JupyterHub.load_roles = [{{
    "name": "tester",
    "services": ["tester"],
    "scopes": ["admin:users", "admin:groups", "admin:servers", "tokens", "read:hub",
               "access:servers", "access:services"],
}}]
c.HubSetup.url = {realm!r}
c.HubSetup.managed = False
c.HubSetup.everybody = {everybody!r}
from mtor_kernel.hub import configure
configure(c)
configure(c)  # once more changes nothing
"""


def find_proxy() -> str | None:
    """Return where the Hub's proxy is, if it is anywhere."""
    here = ROOT / "tools" / "proxy" / "node_modules" / ".bin" / "configurable-http-proxy"
    return str(here) if here.exists() else shutil.which("configurable-http-proxy")


def proxy_command() -> str:
    """Return where the Hub's proxy is; skip the test where it is nowhere."""
    found = find_proxy()
    if not found:
        pytest.skip("there is no configurable-http-proxy here: `make proxy` installs it by npm")
    return found


class Here(httpx.HTTPTransport):
    """Every name is this machine."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        here = httpx.Request(
            request.method,
            request.url.copy_with(host="127.0.0.1"),
            headers=request.headers,
            stream=request.stream,
            extensions=request.extensions,
        )
        return super().handle_request(here)


class Hub:
    """A Hub in `folder`; its proxy, the Hub itself and the realm can each be ended and started."""

    def __init__(
        self,
        folder: Path,
        *,
        everybody: bool = True,
        catalogue: str = CATALOGUE,
        realm: str = "",
        domain: str = "",
    ) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        ports = free_ports(4)
        self.url, self._proxy_api, self._hub_url, self.realm_url = (
            f"http://127.0.0.1:{port}" for port in ports
        )
        #: Where each server and service has a name of its own below one of the Hub's.
        self.named = f"http://{domain}:{ports[0]}" if domain else self.url
        own = self.named.replace("://", "://mtor--service.") if domain else self.url
        self.service = f"{own}/services/mtor/"
        self.direct = f"{self.realm_url}/services/mtor/"
        self._tester, self._realm_token, self._proxy_token = (
            secrets.token_hex(16) for _ in range(3)
        )
        self._proxy = proxy_command()
        (folder / "catalogue.toml").write_text(catalogue)
        (folder / "realm_config.py").write_text(
            "c = get_config()\n"
            f"c.Realm.catalogue_path = {str(folder / 'catalogue.toml')!r}\n"
            "c.People.grant_credits = {'user': 100.0, 'guest': 100.0, 'contributor': 100.0}\n"
            + realm
        )
        (folder / "jupyterhub_config.py").write_text(
            CONFIG.format(
                public=self.url,
                proxy_api=self._proxy_api,
                hub=self._hub_url,
                realm=self.realm_url,
                proxy=self._proxy,
                database=f"sqlite:///{folder / 'hub.sqlite'}",
                secret=str(folder / "hub-cookie-secret"),
                homes=str(folder / "home" / "{username}"),
                tester=self._tester,
                everybody=everybody,
                subdomains=self.named if domain else "",
                environment=self._shared(),
                extensions=repr(_extensions()),
            )
        )
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    # Parts: "proxy", "hub", "realm".

    def start(self, *parts: str) -> None:
        """Start parts, all of them by default, and wait until they answer."""
        for part in parts or ("proxy", "hub", "realm"):
            self._start(part)
        for part in parts or ("proxy", "hub", "realm"):
            self._await(part)
        if not parts or "proxy" in parts:
            self._await_url(self.service + "health", "hub")

    def end(self, part: str, number: int = signal.SIGTERM) -> None:
        """End a part, and wait until it is gone."""
        process = self._processes.pop(part)
        if process.poll() is not None:
            return
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(number)
        try:
            process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        # Servers of people are the Hub's children, and outlive it here on purpose.
        if part != "hub":
            for left in psutil.wait_procs(children, 10)[1]:
                with contextlib.suppress(psutil.Error):
                    left.kill()

    @contextlib.contextmanager
    def frozen(self, part: str = "hub") -> Iterator[None]:
        """Stop a part in its tracks for a while."""
        process = self._processes[part]
        process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End everything."""
        for part in ("realm", "hub", "proxy"):
            if part in self._processes:
                self.end(part)
        family = [each for each in psutil.process_iter() if self._is_ours(each)]
        for one in family:
            with contextlib.suppress(psutil.Error):
                one.terminate()
        for one in psutil.wait_procs(family, timeout=10)[1]:
            with contextlib.suppress(psutil.Error):
                one.kill()

    def log(self, part: str) -> str:
        """Return what a part has said."""
        return (self.folder / f"{part}.log").read_text()

    # People, by the tester's token.

    def pid(self, part: str) -> int:
        """Return the process id of a part."""
        return self._processes[part].pid

    def api(self, method: str, path: str, **how: Any) -> Any:
        """Ask the Hub's own API; return its answer."""
        answer = httpx.request(
            method,
            f"{self.url}/hub/api/{path}",
            headers={"Authorization": f"token {self._tester}"},
            timeout=PATIENCE_SECONDS,
            **how,
        )
        assert answer.status_code < 400, (answer.status_code, answer.text)
        return answer.json() if answer.content else None

    def add(self, *names: str, group: str = "") -> None:
        """Have people at the Hub, perhaps in a group."""
        known = {user["name"] for user in self.api("GET", "users")}
        if set(names) - known:
            self.api("POST", "users", json={"usernames": sorted(set(names) - known)})
        if group:
            self.api("POST", f"groups/{group}/users", json={"users": list(names)})

    def token(self, name: str, *scopes: str) -> str:
        """Return a token of a person's, with all that is theirs or with `scopes` only."""
        asked: dict[str, Any] = {"note": "a test's"}
        if scopes:
            asked["scopes"] = list(scopes)
        made: str = self.api("POST", f"users/{name}/tokens", json=asked)["token"]
        return made

    def spawn(self, name: str) -> None:
        """Start a person's notebook server, and wait until it answers."""
        self.api("POST", f"users/{name}/server")
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            server = self.api("GET", f"users/{name}")["servers"].get("", {})
            if server.get("ready"):
                return
            time.sleep(0.2)
        raise TimeoutError(self.log("hub"))

    def sign_in(self, name: str) -> httpx.Client:
        """Return a browser without a browser: somebody who has filled in the form."""
        web = httpx.Client(base_url=self.named, timeout=PATIENCE_SECONDS, transport=Here())
        web.get("/hub/login")
        reply = web.post(
            "/hub/login",
            params={"_xsrf": web.cookies.get("_xsrf", path="/hub/")},
            data={"username": name, "password": "x"},
        )
        assert reply.status_code == 302, reply.text
        return web

    # Inside.

    def _start(self, part: str) -> None:
        assert part not in self._processes
        command, environment = {
            "proxy": (self._proxy_command(), {"CONFIGPROXY_AUTH_TOKEN": self._proxy_token}),
            "hub": (
                [sys.executable, "-m", "jupyterhub", "-f", "jupyterhub_config.py"],
                {
                    "CONFIGPROXY_AUTH_TOKEN": self._proxy_token,
                    "MTOR_SERVICE_TOKEN": self._realm_token,
                },
            ),
            "realm": (
                [sys.executable, "-m", "mtor_kernel.hub", "--config", "realm_config.py"],
                {
                    "MTOR_DATA": str(self.folder / "realm"),
                    "JUPYTERHUB_API_TOKEN": self._realm_token,
                    "JUPYTERHUB_API_URL": f"{self._hub_url}/hub/api",
                    "JUPYTERHUB_SERVICE_NAME": "mtor",
                    "JUPYTERHUB_SERVICE_PREFIX": "/services/mtor/",
                    "JUPYTERHUB_SERVICE_URL": self.realm_url,
                    "JUPYTERHUB_CLIENT_ID": "service-mtor",
                    **self._names(),
                },
            ),
        }[part]
        with (self.folder / f"{part}.log").open("ab") as log:
            self._processes[part] = subprocess.Popen(
                command,
                cwd=self.folder,
                env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # What a terminal sends to all of its processes is not for these.
                start_new_session=True,
            )

    def _names(self) -> dict[str, str]:
        """Tell the realm where the Hub is for browsers, as docs/operator/recipes.md has it."""
        if self.named == self.url:
            return {}
        return {
            "JUPYTERHUB_HOST": self.named,
            "JUPYTERHUB_OAUTH_CALLBACK_URL": f"{self.service}oauth_callback",
        }

    def _shared(self) -> dict[str, str]:
        """Have every server find the panel and the kernel of this source tree."""
        share, settings = self.folder / "share" / "jupyter", self.folder / "settings"
        for place, what in (("labextensions/mtor-realm", BUILT), ("kernels/mtor", KERNELSPEC)):
            (share / place).parent.mkdir(parents=True)
            (share / place).symlink_to(what)
        set_up_quietly(settings)
        return {"JUPYTER_PATH": str(share), "JUPYTERLAB_SETTINGS_DIR": str(settings)}

    def _proxy_command(self) -> list[str]:
        public, api, hub = (httpx.URL(url) for url in (self.url, self._proxy_api, self._hub_url))
        return [
            *(self._proxy, "--ip", "127.0.0.1", "--port", str(public.port)),
            *("--api-ip", "127.0.0.1", "--api-port", str(api.port)),
            *("--default-target", str(hub), "--error-target", f"{hub}/hub/error"),
            *(["--host-routing"] if self.named != self.url else []),
        ]

    def _await(self, part: str) -> None:
        if part == "proxy":
            self._await_url(self._proxy_api + "/api/routes", part)
        elif part == "hub":
            self._await_url(self.url + "/hub/api/", part)
        else:
            self._await_url(self.direct + "health", part)

    def _await_url(self, url: str, part: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        with httpx.Client(timeout=5, transport=Here()) as web:
            while time.monotonic() < deadline:
                assert self._processes[part].poll() is None, self.log(part)
                with contextlib.suppress(httpx.TransportError):
                    if web.get(url).status_code in (200, 403):
                        return
                time.sleep(0.05)
        raise TimeoutError(self.log(part))

    def _is_ours(self, process: psutil.Process) -> bool:
        """Tell whether it was started in this folder, by whomever."""
        with contextlib.suppress(psutil.Error, OSError):
            return Path(process.cwd()).is_relative_to(self.folder)
        return False


@contextlib.contextmanager
def serve_hub(folder: Path, **how: Any) -> Iterator[Hub]:
    """Run a Hub, its proxy and its realm, and end them whatever happened to them."""
    hub = Hub(folder, **how)
    try:
        hub.start()
        yield hub
    finally:
        hub.close()


def _extensions() -> dict[str, bool]:
    """Which server extensions run: ours and the lab, and nothing else that is installed here."""
    places = (Path(sys.prefix) / "etc" / "jupyter" / "jupyter_server_config.d").glob("*.json")
    found = (json.loads(place.read_text()) for place in places)
    named = {name for one in found for name in one["ServerApp"]["jpserver_extensions"]}
    return dict.fromkeys(named, False) | {"mtor_kernel": True, "jupyterlab": True}
