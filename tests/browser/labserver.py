"""A real JupyterLab (or Notebook, or Voilà) on loopback, with a personal realm behind it."""

import contextlib
import json
import os
import secrets
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tests.ports import free_port

ROOT = Path(__file__).parents[2]
BUILT = ROOT / "mtor_kernel" / "labextension"
AXE = ROOT / "labextension" / "node_modules" / "axe-core" / "axe.min.js"
START_SECONDS = 180
#: Extensions of others take their time to end, on a machine that has much to do.
STOP_SECONDS = 90
#: Ours; and not jupyter-ai's, which is installed for tests of its own: it takes seconds to import,
#: and looks for prices in the net.
EXTENSIONS = {"mtor_kernel": True, "jupyter_ai_litellm": False}
#: What to open, and what each application is told beside what all are.
APPLICATIONS = {
    "jupyterlab": (
        "lab",
        ("--LabApp.extension_manager=readonly", "--LabApp.expose_app_in_browser=True"),
    ),
    "notebook": ("tree", ("--JupyterNotebookApp.expose_app_in_browser=True",)),
}


@contextlib.contextmanager
def serve_lab(folder: Path, application: str = "jupyterlab", **variables: str) -> Iterator[str]:
    """Run a lab whose every directory lies in `folder`; gives the address, with its token.

    Its notebooks lie in ``folder / "work"``; `variables` are more of its environment.
    """
    extensions = folder / "share" / "jupyter" / "labextensions"
    extensions.mkdir(parents=True)
    if BUILT.exists():
        (extensions / "mtor-realm").symlink_to(BUILT)
    (folder / "work").mkdir()
    path, options = APPLICATIONS[application]
    set_up_quietly(folder / "settings")
    port, token = free_port(), secrets.token_hex(16)
    environment = os.environ | variables
    environment |= {
        "JUPYTER_PATH": os.fspath(folder / "share" / "jupyter"),
        "JUPYTER_RUNTIME_DIR": os.fspath(folder / "runtime"),
        "JUPYTER_CONFIG_DIR": os.fspath(folder / "config"),
        "JUPYTERLAB_SETTINGS_DIR": os.fspath(folder / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": os.fspath(folder / "workspaces"),
    }
    log = folder / "lab.log"
    with log.open("w") as out:
        lab = subprocess.Popen(
            [
                *(sys.executable, "-m", application, "--no-browser", "--allow-root"),
                *("--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0"),
                f"--IdentityProvider.token={token}",
                f"--ServerApp.root_dir={folder / 'work'}",
                *options,
                f"--ServerApp.jpserver_extensions={EXTENSIONS}",
            ],
            stdout=out,
            stderr=subprocess.STDOUT,
            env=environment,
        )
        try:
            _await(f"http://127.0.0.1:{port}/api/status?token={token}", lab, log)
            yield f"http://127.0.0.1:{port}/{path}?token={token}"
        finally:
            lab.terminate()
            lab.wait(STOP_SECONDS)
            subprocess.run(
                [sys.executable, "-m", "mtor_kernel.cli", "realm", "stop"],
                env=environment,
                capture_output=True,
                check=False,
            )


@contextlib.contextmanager
def serve_voila(notebook: Path, **variables: str) -> Iterator[str]:
    """Run Voilà for one notebook; gives the address of its page."""
    port = free_port()
    log = notebook.with_suffix(".log")
    with log.open("w") as out:
        page = subprocess.Popen(
            [
                *(sys.executable, "-m", "voila", "--no-browser", f"--port={port}"),
                *("--Voila.ip=127.0.0.1", os.fspath(notebook)),
            ],
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=notebook.parent,
            env=os.environ | variables,
        )
        try:
            _await(f"http://127.0.0.1:{port}/voila/static/voila.js", page, log)
            yield f"http://127.0.0.1:{port}/"
        finally:
            page.terminate()
            page.wait(STOP_SECONDS)


def set_up_quietly(settings: Path) -> None:
    """Have the lab not ask whether it may fetch news: the question would cover the panel."""
    place = settings / "@jupyterlab" / "apputils-extension"
    place.mkdir(parents=True)
    quiet = {"fetchNews": "false", "checkForUpdates": False}
    (place / "notification.jupyterlab-settings").write_text(json.dumps(quiet))


def _await(url: str, lab: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if lab.poll() is not None:
            raise RuntimeError(log.read_text())
        with contextlib.suppress(OSError):
            urllib.request.urlopen(url, timeout=10).read()
            return
        time.sleep(0.05)
    raise TimeoutError(log.read_text())
