"""Hostile answers in a real browser, whose requests are watched: nothing leaves, nothing runs."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import ConsoleMessage, Dialog, Page, Request, expect

from tests.browser.conftest import Browsers
from tests.browser.hostile import payloads
from tests.browser.notebooks import open_document, write_notebook
from tests.browser.panel import PATIENCE_MS, ask_and_wait, begin_afresh, open_panel, stands

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.asyncio(loop_scope="module"),
]

ANSWER_MIME = "application/vnd.mtor.answer+json"
#: Nothing of a lab is fetched so, once it stands, but for what a page of its own asks.
TELLING = {
    "document",
    "image",
    "media",
    "font",
    "stylesheet",
    "script",
    "manifest",
    "ping",
    "other",
}

#: What `steal()` does, and whatever else would show that something of an answer has run.
CANARY = """
window.stolen = [];
window.steal = () => window.stolen.push(new Error().stack);
for (const name of ['alert', 'confirm', 'prompt', 'open', 'print']) {
  window[name] = () => window.stolen.push(name);
}
navigator.sendBeacon = () => window.stolen.push('beacon');
null;
"""
#: Touches every element of the answers in each way in which a reader might, by accident.
TOUCH = """hosts => {
  const events = ['pointerover', 'mouseover', 'mouseenter', 'mousemove', 'focus', 'toggle',
    'animationstart', 'load', 'error', 'begin', 'start'];
  for (const node of hosts.flatMap(host => [...host.querySelectorAll('*')])) {
    for (const name of events) node.dispatchEvent(new Event(name, { bubbles: true }));
    if (!node.closest('a[href]')) node.click?.();
  }
}"""
#: Tells what is in the answers that has no business there.
FOUND = """hosts => hosts.flatMap(host => [...host.querySelectorAll('*')]).flatMap(node => {
  if (node.closest('mjx-container')) {
    return node.matches('a, script, image') || node.hasAttribute('href') ? [node.outerHTML] : [];
  }
  const names = node.getAttributeNames().filter(one => /^(on|style$|id$|name$|src|ping)/.test(one));
  const href = node.getAttribute('href');
  const isOurs = node.matches('.jp-InternalAnchorLink');
  const bad = /^(script|style|iframe|object|embed|form|input|link|meta|base|svg|img|video|audio)$/i;
  const isSafe = /^(https?:\\/\\/|mailto:)/.test(href) &&
    node.rel === 'noopener noreferrer' && node.target === '_blank';
  const leads = node.tagName === 'A' && !isOurs && href !== null && !isSafe;
  return names.length || bad.test(node.tagName) || leads ? [node.outerHTML] : [];
})"""


#: What JupyterLab's own sanitiser, or its formulas, would let load something.
REACHING = re.compile(r"canary.*[$)]|!\[|<img src")


#: Turns that the panel shows at first, and with each wish for earlier ones.
SHOWN = 40


@dataclass
class Watch:
    """What a page does that it should not: requests, dialogs, pages, words on the console."""

    own: str
    requests: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    #: From here on the page has all that it needs.
    settled: bool = False

    def over(self, page: Page) -> None:
        """Watch this page."""
        page.context.on("request", self._request)
        page.context.on("page", lambda opened: self.other.append(f"page {opened.url}"))
        page.on("dialog", self._dialog)
        page.on("console", self._console)
        page.on("websocket", lambda socket: self._seen("websocket", socket.url))
        page.on("framenavigated", lambda frame: self._navigated(frame.url))

    def _navigated(self, url: str) -> None:
        if self.settled:
            self.other.append(f"navigation to {url}")

    def _request(self, request: Request) -> None:
        self._seen(request.resource_type, request.url)

    def _seen(self, kind: str, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme in ("data", "blob"):
            return
        foreign = f"{parts.hostname}:{parts.port}" != urlsplit(self.own).netloc
        if foreign or "canary" in url or (self.settled and kind in TELLING):
            self.requests.append(f"{kind} {url}")

    def _dialog(self, dialog: Dialog) -> None:
        self.other.append(f"dialog {dialog.message}")
        task = asyncio.ensure_future(dialog.dismiss())
        task.add_done_callback(lambda done: done.exception())

    def _console(self, message: ConsoleMessage) -> None:
        if "canary" in message.text or "Content Security" in message.text:
            self.other.append(f"console {message.text}")


@dataclass
class Site:
    """Somebody else's web site, which nobody should call."""

    url: str = ""
    calls: int = 0

    async def called(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Count, and hang up."""
        self.calls += 1
        writer.close()


@pytest_asyncio.fixture(loop_scope="module")
async def site() -> AsyncIterator[Site]:
    """A site on a port of its own: another origin."""
    found = Site()
    async with await asyncio.start_server(found.called, "127.0.0.1", 0) as server:
        found.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield found


#: Looks at one cell after the other, until so many answers are drawn.
SCROLLED_THROUGH = """count => {
  const cells = document.querySelectorAll('.jp-Notebook .jp-Cell');
  window.looked = (window.looked ?? -1) + 1;
  cells[cells.length && window.looked % cells.length]?.scrollIntoView();
  return document.querySelectorAll('.jp-mtor-kept').length === count;
}"""
#: The launcher shows kernels, and every picture of the page has come.
PICTURES_ARE_THERE = """() => document.querySelector('.jp-Launcher-kernelIcon')
  && [...document.images].every(image => image.complete)"""
#: What is written has its fonts: a formula asks for its own once it is laid out.
FONTS_ARE_THERE = """() => new Promise(done =>
  requestAnimationFrame(() => requestAnimationFrame(() => document.fonts.ready.then(() => done()))))
"""


async def settle(page: Page) -> None:
    """Wait until whatever an answer may have begun has had its time."""
    await page.evaluate(
        "() => new Promise(done => requestAnimationFrame(() => setTimeout(done, 300)))"
    )


async def check(page: Page, watch: Watch, site: Site, where: str) -> None:
    """Look at the answers, and at what has come of them."""
    hosts = page.locator(where)
    title = await page.title()
    await hosts.evaluate_all(TOUCH)
    await settle(page)
    assert await hosts.evaluate_all(FOUND) == []
    assert await page.evaluate("window.stolen") == []
    assert await page.title() == title
    assert watch.requests == []
    assert watch.other == []
    assert site.calls == 0


async def test_nothing_comes_of_hostile_answers_in_the_panel(
    browsers: Browsers, lab: str, site: Site
) -> None:
    own = lab.split("/lab?")[0]
    browser = await browsers.start()
    page = await open_panel(browser, lab)
    watch = Watch(own)
    watch.over(page)
    await page.evaluate(CANARY)
    await page.get_by_label("Model", exact=True).select_option("echo")
    turns = page.locator(".jp-mtor-turn")

    async def ask(number: int, prompt: str) -> None:
        await page.get_by_label("Your question").fill(prompt)
        await page.get_by_label("Your question").press("Enter")
        if number and 2 * number % SHOWN == 0:  # now there are more than the panel shows
            await page.get_by_role("button", name="Show earlier turns").click()
        await expect(turns.nth(2 * number + 1).locator("footer")).to_be_visible()

    # What the first answer and the first formula fetch is the lab's own, and so are the pictures of
    # the kernels in its launcher, which come late on a slow machine.
    await ask(0, "**bees** $x^2$\n\n# Honey")
    await page.wait_for_selector(".jp-mtor-turn mjx-container", timeout=PATIENCE_MS)
    await page.wait_for_function(PICTURES_ARE_THERE)
    await page.evaluate(FONTS_ARE_THERE)
    watch.settled = True
    hostile = payloads(site.url, own)
    for number, prompt in enumerate(hostile, 1):
        await ask(number, prompt)
    assert await turns.count() == 2 * (len(hostile) + 1)
    await check(page, watch, site, ".jp-mtor-markdown")


async def test_nothing_comes_of_hostile_answers_that_are_inserted_into_a_notebook(
    browsers: Browsers, jupyter: tuple[str, Path], site: Site
) -> None:
    address, folder = jupyter
    own = address.split("/lab?")[0]
    page = await open_panel(await browsers.start(), address)
    watch = Watch(own)
    watch.over(page)
    await page.evaluate(CANARY)
    write_notebook(folder / "inserted.ipynb", "first = 1", kernel="python3")
    await open_document(page, "inserted.ipynb")
    cells = page.locator(".jp-Notebook .jp-Cell")
    await cells.first.locator(".cm-content").click()
    await begin_afresh(page)
    hostile = [one for one in payloads(site.url, own) if REACHING.search(one)]
    assert len(hostile) > 10
    for number, prompt in enumerate(["**bees** $x^2$", *hostile]):
        await begin_afresh(page)
        answer = await ask_and_wait(page, prompt)
        await answer.get_by_role("button", name="Insert the answer into the notebook").click()
        await expect(cells).to_have_count(number + 2)
        if number == 0:
            await page.wait_for_selector(".jp-MarkdownCell mjx-container", timeout=PATIENCE_MS)
            await page.evaluate(FONTS_ARE_THERE)
            watch.settled = True
    await expect(cells.last.locator(".jp-MarkdownOutput")).to_be_visible()
    await settle(page)
    # A kernel that starts changes the page's sign, and the first block of code brings its colours.
    lab_own = re.compile(f"^(other|script) {own}/static/(favicons|lab)/")
    assert [one for one in watch.requests if not lab_own.match(one)] == []
    # The lab writes into its address what is open.
    assert [one for one in watch.other if not one.startswith(f"navigation to {own}/lab")] == []
    assert site.calls == 0
    assert await page.evaluate("window.stolen") == []


async def test_nothing_comes_of_hostile_answers_in_a_saved_notebook(
    browsers: Browsers, lab: str, site: Site, tmp_path: Path
) -> None:
    own, token = lab.split("/lab?token=")
    hostile = payloads(site.url, own)
    page = await (await browsers.start()).new_page(viewport={"width": 1280, "height": 800})
    answer = await page.request.put(
        f"{own}/api/contents/hostile.ipynb",
        headers={"Authorization": f"token {token}"},
        data={"type": "notebook", "format": "json", "content": notebook(hostile)},
    )
    assert answer.ok, await answer.text()
    watch = Watch(own)
    watch.over(page)
    await page.add_init_script(CANARY)
    await page.goto(lab.replace("/lab?", "/lab/tree/hostile.ipynb?") + "&reset")
    await stands(page)
    kept = page.locator(".jp-mtor-kept")
    # Cells come as they are scrolled to, and may be drawn anew meanwhile.
    await page.wait_for_function(
        SCROLLED_THROUGH, arg=len(hostile) + 1, polling=100, timeout=PATIENCE_MS
    )
    await expect(kept).to_have_count(len(hostile) + 1)
    await expect(kept.last).to_contain_text("smollm2 · 3.0 s · 1.50 credits · a source")
    await page.wait_for_selector(
        ".jp-mtor-kept mjx-container", state="attached", timeout=PATIENCE_MS
    )
    watch.other.clear()  # the page's own coming
    await check(page, watch, site, ".jp-mtor-kept")


def notebook(hostile: list[str]) -> dict[str, Any]:
    """Return a notebook that keeps these as answers: as its words, its model and its sources."""
    answers: list[dict[str, Any]] = [
        {"text": one, "model": one, "sources": [one, {"url": one}], "charge": {"amount_micro": one}}
        for one in hostile
    ]
    last = {"text": "**bees** $x^2$", "model": "smollm2", "seconds": 3, "sources": ["a source"]}
    answers.append(last | {"charge": {"amount_micro": 1_500_000}})
    half = len(answers) // 2
    return {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        "cells": [
            {
                "id": f"cell-{number}",
                "cell_type": "code",
                "execution_count": 1,
                "metadata": {},
                "source": "%mtor again",
                "outputs": [
                    {"output_type": "display_data", "metadata": {}, "data": {ANSWER_MIME: one}}
                    for one in some
                ],
            }
            for number, some in enumerate((answers[:half], answers[half:]))
        ],
    }
