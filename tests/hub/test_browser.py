"""People at a Hub, in a real browser: sign in, start a server, ask in a notebook and the panel."""

import re

import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.browser.chromium import CHROMIUM
from tests.browser.conftest import Browsers
from tests.browser.notebooks import KERNEL_IDLE, ended, run_cell, write_notebook
from tests.browser.panel import OPEN, PATIENCE_MS, stands
from tests.hub.hub_process import BUILT, Hub

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.asyncio]

#: Servers come up while tests run, on a machine that may have much to do.
WIDE = {"width": 1280, "height": 900}


@pytest.fixture(autouse=True)
def equipment() -> None:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here: install it to drive the Hub's pages")
    if not (BUILT / "package.json").exists():
        pytest.skip("the panel is not built: run `make lab` or `make test` once")


async def sign_in(browser: Browser, hub: Hub, name: str) -> BrowserContext:
    """Fill in the Hub's form, and wait until one's own server is there."""
    context = await browser.new_context(viewport=WIDE)
    page = await context.new_page()
    await page.goto(f"{hub.url}/hub/login")
    await page.get_by_label("Username").fill(name)
    await page.get_by_label("Password").fill("x")
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url(re.compile(f"/user/{name}/lab"), timeout=PATIENCE_MS)
    await page.close()
    return context


async def open_panel(context: BrowserContext, hub: Hub, name: str, tab: str = "Talk") -> Page:
    """Return a page of one's own lab with the panel open, and the realm there."""
    page = await context.new_page()
    await page.goto(f"{hub.url}/user/{name}/lab?reset")
    await stands(page)
    await page.evaluate(OPEN)
    await expect(page.locator(".jp-mtor-connection")).to_be_hidden()
    await page.get_by_role("tab", name=tab, exact=True).click()
    return page


async def ask(page: Page, question: str) -> None:
    await page.get_by_label("Your question").fill(question)
    await page.get_by_label("Your question").press("Enter")


async def test_one_signs_in_and_asks_in_a_notebook_and_in_the_panel(
    browsers: Browsers, hub: Hub
) -> None:
    heard: list[str] = []
    context = await sign_in(await browsers.start(), hub, "ann")
    home = hub.folder / "home" / "ann"
    keep = "import os; open('token', 'w').write(os.environ['JUPYTERHUB_API_TOKEN'])"
    write_notebook(home / "ask.ipynb", keep, "%%mtor -m echo\nHello from a notebook", "%mtor me")
    notebook = await context.new_page()
    notebook.on("request", lambda request: heard.append(request.url))
    notebook.on("websocket", lambda socket: heard.append(socket.url))
    await notebook.goto(f"{hub.url}/user/ann/lab/tree/ask.ipynb?reset")
    await notebook.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=PATIENCE_MS)
    await notebook.wait_for_function(KERNEL_IDLE, timeout=PATIENCE_MS)
    await ended(await run_cell(notebook, 0))
    cell = await run_cell(notebook, 1)
    await expect(cell.locator(".jp-OutputArea")).to_contain_text("Hello from a notebook")
    me = await run_cell(notebook, 2)
    await expect(me.locator(".jp-OutputArea")).to_contain_text("ann")
    panel = await open_panel(context, hub, "ann")
    panel.on("request", lambda request: heard.append(request.url))
    await ask(panel, "Hello from the panel")
    answer = panel.locator(".jp-mtor-turn.jp-mtor-assistant").last
    await expect(answer).to_contain_text("Hello from the panel")
    await expect(answer.locator("footer")).to_contain_text("credits")
    # What the server shows the realm is never shown to the browser.
    secret = (home / "token").read_text()
    assert len(secret) > 20
    assert not [url for url in heard if secret in url]
    assert secret not in await panel.content()
    assert await panel.get_by_role("tab", name="Sysop", exact=True).count() == 0


async def test_one_whom_the_sysop_bans_in_the_panel_is_refused_in_the_panel(
    browsers: Browsers, hub: Hub
) -> None:
    browser = await browsers.start()
    ben = await open_panel(await sign_in(browser, hub, "ben"), hub, "ben")
    await ask(ben, "Am I let in?")
    await expect(ben.locator(".jp-mtor-turn.jp-mtor-assistant footer").last).to_be_visible()
    sue = await open_panel(await sign_in(browser, hub, "sue"), hub, "sue", "Sysop")
    person = sue.get_by_role("region", name="People").get_by_role("listitem").filter(has_text="ben")
    await person.locator("summary").click()
    await person.get_by_label("Reason").fill("a test of bans")
    await person.get_by_role("button", name="Ban", exact=True).click()
    await expect(ben.locator(".jp-mtor-connection")).to_contain_text("a test of bans")
    # Nothing opens it again but the sysop.
    await ben.reload()
    await ben.wait_for_selector("#jupyterlab-splash", state="detached", timeout=PATIENCE_MS)
    await expect(ben.locator(".jp-mtor-connection")).to_contain_text("a test of bans")
    await person.get_by_role("button", name="Unban", exact=True).click()
    await expect(person).not_to_contain_text("banned")
