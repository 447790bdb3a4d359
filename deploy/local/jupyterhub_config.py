"""A small complete Hub on this machine, to look at: two users, a sysop, a realm for them.

``make hub`` runs it. Everything listens on loopback; what it keeps is in ``.hub``. Everybody's
notebook server runs as you, so this is no Hub for people who do not trust each other.
"""

import os
import secrets
import shutil
import sys
from pathlib import Path

from mtor_kernel.hub import configure
from mtor_kernel.locate import data_dir

c = get_config()  # noqa: F821 - the Hub's own

here = Path(__file__).resolve().parent
root = here.parents[1]
folder = Path(os.environ.get("MTOR_HUB_FOLDER", root / ".hub"))
realm = folder / "realm"
realm.mkdir(mode=0o700, parents=True, exist_ok=True)
folder.chmod(0o700)
# The weights that this account has pulled, which are large, serve this realm too.
if not (realm / "models").exists():
    (realm / "models").symlink_to(data_dir() / "models")
port = int(os.environ.get("MTOR_HUB_PORT", "8000"))
password = os.environ.get("MTOR_HUB_PASSWORD") or secrets.token_urlsafe(9)

c.JupyterHub.bind_url = f"http://127.0.0.1:{port}"
c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{port + 1}"
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{port + 2}"
c.ConfigurableHTTPProxy.command = [
    str(root / "tools" / "proxy" / "node_modules" / ".bin" / "configurable-http-proxy"),
    "--log-level=warn",
]
c.ConfigurableHTTPProxy.pid_file = str(folder / "proxy.pid")
c.JupyterHub.db_url = f"sqlite:///{folder / 'hub.sqlite'}"
c.JupyterHub.cookie_secret_file = str(folder / "hub-cookie-secret")

# One password for all, new at each start: any other account of this machine can open the page.
c.JupyterHub.authenticator_class = "shared-password"
c.SharedPasswordAuthenticator.user_password = password
c.Authenticator.allowed_users = {"alice", "bob", "sysop"}
c.JupyterHub.load_groups = {"mtor-sysops": {"users": ["sysop"]}}

c.JupyterHub.spawner_class = "simple"
c.Spawner.cmd = [sys.executable, "-m", "jupyterhub.singleuser"]
c.SimpleLocalProcessSpawner.home_dir_template = str(folder / "home" / "{username}")
c.Spawner.args = ["--allow-root"] if os.geteuid() == 0 else []
# The address and the password stay in sight.
c.JupyterHub.log_level = "WARN"
c.Spawner.args += ["--log-level=WARN"]
c.Spawner.default_url = "/lab"
c.Spawner.http_timeout = 60

c.HubSetup.url = f"http://127.0.0.1:{port + 3}"
c.HubSetup.data_dir = str(realm)
c.HubSetup.realm_config = str(here / "realm_config.py")

configure(c)


def lay_out(spawner):
    """Put a first notebook into the home of who has none."""
    home = folder / "home" / spawner.user.name
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "first-query.ipynb").exists():
        shutil.copy(root / "notebooks" / "00-first-query.ipynb", home / "first-query.ipynb")


c.Spawner.pre_spawn_hook = lay_out

print(  # noqa: T201
    f"\n  MTOR comes up at {c.JupyterHub.bind_url} in a moment\n"
    f"  Sign in as alice, bob or sysop; the password is {password}\n"
    "  Ctrl-C ends it.\n",
    flush=True,
)
