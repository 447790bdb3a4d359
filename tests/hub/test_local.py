"""What `make hub` runs: a Hub that starts its realm itself, and ends all of it with Ctrl-C."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.hub.hub_process import PATIENCE_SECONDS, ROOT, free_ports, proxy_command

pytestmark = [pytest.mark.slow, pytest.mark.fault, pytest.mark.timeout(300)]


@contextlib.contextmanager
def local_hub(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run the Hub of `make hub` in `folder`, as a terminal would."""
    folder.mkdir(exist_ok=True)
    log = folder / "hub.log"
    with log.open("ab") as out:
        hub = subprocess.Popen(
            [sys.executable, "-m", "jupyterhub", "-f", "deploy/local/jupyterhub_config.py"],
            cwd=ROOT,
            env=os.environ
            | {
                "PYTHONPATH": str(ROOT),
                "MTOR_HUB_FOLDER": str(folder),
                "MTOR_HUB_PORT": str(port),
                "MTOR_HUB_PASSWORD": "open-sesame",
            },
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    family: list[psutil.Process] = []
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            assert hub.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            with contextlib.suppress(httpx.TransportError):
                url = f"http://127.0.0.1:{port}/services/mtor/health"
                if httpx.get(url).status_code == 200:
                    break
            time.sleep(0.1)
        yield hub
    finally:
        if hub.poll() is None:
            family = psutil.Process(hub.pid).children(recursive=True)
            hub.kill()
            for one in family:
                with contextlib.suppress(psutil.Error):
                    one.kill()


def test_it_starts_all_of_it_and_ctrl_c_ends_all_of_it(tmp_path: Path) -> None:
    proxy_command()
    # Four ports in a row.
    port = free_ports(1)[0]
    with local_hub(tmp_path / "hub", port) as hub:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as web:
            web.get("/hub/login")
            told = web.post(
                "/hub/login",
                params={"_xsrf": web.cookies.get("_xsrf", path="/hub/")},
                data={"username": "sysop", "password": "open-sesame"},
            )
            assert told.status_code == 302
            page = web.get("/services/mtor/", follow_redirects=True)
            assert "<b>sysop</b> (sysop)" in page.text
            deadline = time.monotonic() + PATIENCE_SECONDS
            while len(web.get("/services/mtor/api/workers").json().get("items", ())) < 2:
                assert time.monotonic() < deadline
                time.sleep(0.1)
        family = psutil.Process(hub.pid).children(recursive=True)
        assert len(family) >= 5  # the proxy, the realm, a scheduler, two workers
        os.killpg(hub.pid, signal.SIGINT)
        hub.wait(PATIENCE_SECONDS)
        _, alive = psutil.wait_procs(family, 20)
        assert not alive
