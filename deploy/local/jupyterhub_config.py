"""A small complete Hub on this machine, to look at: two users, a sysop, a realm for them.

``make hub`` runs it. Everything listens on loopback; what it keeps is in ``.hub``. Everybody's
notebook server runs as you, so this is no Hub for people who do not trust each other.
"""

import os
import secrets
import sys
from pathlib import Path

c = get_config()  # noqa: F821 - the Hub's own

here = Path(__file__).resolve().parent
folder = Path(os.environ.get("MTOR_HUB_FOLDER", here.parents[1] / ".hub"))
folder.mkdir(mode=0o700, parents=True, exist_ok=True)
port = int(os.environ.get("MTOR_HUB_PORT", "8000"))
password = os.environ.get("MTOR_HUB_PASSWORD") or secrets.token_urlsafe(9)

c.JupyterHub.bind_url = f"http://127.0.0.1:{port}"
c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{port + 1}"
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{port + 2}"
c.ConfigurableHTTPProxy.command = [
    str(here.parents[1] / "tools" / "proxy" / "node_modules" / ".bin" / "configurable-http-proxy")
]
c.ConfigurableHTTPProxy.pid_file = str(folder / "proxy.pid")
c.JupyterHub.db_url = f"sqlite:///{folder / 'hub.sqlite'}"
c.JupyterHub.cookie_secret_file = str(folder / "hub-cookie-secret")

# One password for all, new at each start: any other account of this machine can open the page.
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = password
c.Authenticator.allowed_users = {"alice", "bob", "sysop"}
c.JupyterHub.load_groups = {"mtor-sysops": {"users": ["sysop"]}}

c.JupyterHub.spawner_class = "simple"
c.Spawner.cmd = [sys.executable, "-m", "jupyterhub.singleuser"]
c.SimpleLocalProcessSpawner.home_dir_template = str(folder / "home" / "{username}")
c.Spawner.args = ["--allow-root"] if os.geteuid() == 0 else []
c.Spawner.default_url = "/lab"
c.Spawner.http_timeout = 60

c.HubSetup.url = f"http://127.0.0.1:{port + 3}"
c.HubSetup.data_dir = str(folder / "realm")
c.HubSetup.realm_config = str(here / "realm_config.py")

from mtor_kernel.hub import configure  # noqa: E402 - where an operator would write it

configure(c)

print(  # noqa: T201
    f"\n  MTOR at {c.JupyterHub.bind_url}\n"
    f"  Sign in as alice, bob or sysop; the password is {password}\n"
    "  Ctrl-C ends it.\n",
    flush=True,
)
