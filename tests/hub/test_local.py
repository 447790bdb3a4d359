"""`make hub`: a Hub that starts its realm itself, and ends all of it with Ctrl-C."""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from playwright.async_api import expect

from mtor_kernel.locate import data_dir
from tests.browser.conftest import CHROMIUM, PATIENCE_MS, Browsers
from tests.hub.hub_process import BUILT, PATIENCE_SECONDS, ROOT
from tests.ports import free_ports

pytestmark = [pytest.mark.slow, pytest.mark.fault, pytest.mark.timeout(600)]


PASSWORD = "open-sesame"


@contextlib.contextmanager
def local_hub(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run `make hub` in `folder`, as a terminal would; what it installs is there already."""
    if shutil.which("make") is None:
        pytest.skip("there is no make here")
    folder.mkdir(exist_ok=True)
    log = folder / "hub.log"
    installed = ("HUB=", "PROXY=", "PULL=true", f"BIN={Path(sys.executable).parent}")
    with log.open("ab") as out:
        hub = subprocess.Popen(
            ["make", "hub", *installed],
            cwd=ROOT,
            env=os.environ
            | {
                "PYTHONPATH": str(ROOT),
                "MTOR_HUB_FOLDER": str(folder),
                "MTOR_HUB_PORT": str(port),
                "MTOR_HUB_PASSWORD": PASSWORD,
            },
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 2 * PATIENCE_SECONDS
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
        for one in psutil.process_iter():
            # Also what a Hub has left that failed: it is nobody's child any more.
            with contextlib.suppress(psutil.Error):
                if str(folder) in {
                    *one.environ().values(),
                    *map(os.path.dirname, one.environ().values()),
                }:
                    one.kill()
        hub.wait(PATIENCE_SECONDS)


def ctrl_c(hub: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Do as a terminal does; return what is left after a while."""
    family = psutil.Process(hub.pid).children(recursive=True)
    assert len(family) >= 6  # the Hub, its proxy, the realm, a scheduler, two workers
    os.killpg(hub.pid, signal.SIGINT)
    hub.wait(PATIENCE_SECONDS)
    _, alive = psutil.wait_procs(family, PATIENCE_SECONDS)
    return list(alive)


def test_it_starts_all_of_it_and_ctrl_c_ends_all_of_it(tmp_path: Path) -> None:
    needs_proxy_in_the_tree()
    port, *_ = free_ports(4)
    with local_hub(tmp_path / "hub", port) as hub:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_SECONDS) as web:
            web.get("/hub/login")
            told = web.post(
                "/hub/login",
                params={"_xsrf": web.cookies.get("_xsrf", path="/hub/")},
                data={"username": "sysop", "password": PASSWORD},
            )
            assert told.status_code == 302
            page = web.get("/services/mtor/", follow_redirects=True)
            assert "<b>sysop</b> (sysop)" in page.text
            deadline = time.monotonic() + PATIENCE_SECONDS
            while len(web.get("/services/mtor/api/workers").json().get("items", ())) < 2:
                assert time.monotonic() < deadline
                time.sleep(0.1)
        assert not ctrl_c(hub)
    told_people = (tmp_path / "hub" / "hub.log").read_text()
    assert f"MTOR comes up at http://127.0.0.1:{port}" in told_people
    assert PASSWORD in told_people
    # Nothing that would make a newcomer wonder.
    assert "deprecated" not in told_people
    assert "Traceback" not in told_people


@pytest.mark.browser
@pytest.mark.asyncio
async def test_a_newcomer_signs_in_runs_the_first_notebook_and_sees_the_panel(
    browsers: Browsers, tmp_path: Path
) -> None:
    needs_proxy_in_the_tree()
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here: install it to drive the Hub's pages")
    if not (BUILT / "package.json").exists():
        pytest.skip("the panel is not built: run `make lab` or `make test` once")
    if not (data_dir() / "models" / "smollm2").exists():
        pytest.skip("smollm2 is not here: run `mtor pull smollm2`")
    port, *_ = free_ports(4)
    with local_hub(tmp_path / "hub", port) as hub:
        browser = await browsers.start()
        page = await browser.new_page(viewport={"width": 1280, "height": 900})
        await page.goto(f"http://127.0.0.1:{port}")
        await page.get_by_label("Username").fill("alice")
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Sign in").click()
        await page.wait_for_url(re.compile("/user/alice/lab"), timeout=PATIENCE_MS)
        await page.wait_for_selector("#jupyterlab-splash", state="detached", timeout=PATIENCE_MS)
        await page.get_by_text("first-query.ipynb").dblclick()
        await page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=PATIENCE_MS)
        # A cell that is run before the kernel has said so is dropped without a word; the
        # notebook's own indicator says idle from its beginning.
        await expect(page.get_by_text("MTOR | Idle")).to_be_visible()
        # By the keyboard: this lab lets nobody in to run commands.
        cell = page.locator(".jp-CodeCell").first
        await cell.locator(".cm-content").click()
        await page.keyboard.press("Control+Enter")
        # A real model answers, for a price, and for this person.
        await expect(cell.locator(".jp-OutputArea")).to_contain_text("smollm2 ·")
        await expect(cell.locator(".jp-OutputArea")).to_contain_text("credits")
        await page.locator("[role=tab][data-id=mtor-realm-panel]").click()
        await page.get_by_role("tab", name="Workers", exact=True).click()
        await expect(page.get_by_text("worker-0", exact=True)).to_be_visible()
        await expect(page.get_by_text("worker-1", exact=True)).to_be_visible()
        left = await asyncio.to_thread(ctrl_c, hub)
        assert not left


def needs_proxy_in_the_tree() -> None:
    """`make hub` has the proxy that `make proxy` installs, and no other."""
    if not (ROOT / "tools" / "proxy" / "node_modules" / ".bin").exists():
        pytest.skip("the Hub's proxy is not installed here: `make proxy` does it by npm")
