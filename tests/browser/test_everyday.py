"""What one does with the panel every day, by keyboard, by dragging, and narrow."""

import csv
import io
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.browser.conftest import Browsers
from tests.browser.panel import TABS, ask_and_wait, begin_afresh, open_panel, open_tab_whole

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.asyncio(loop_scope="module"),
]

#: Lets go of something over the question as the lab's own drags do.
DROP = """([mime, data]) => {
  const event = new Event('lm-drop', { bubbles: true, cancelable: true });
  const all = { [mime]: data };
  event.mimeData = { hasData: name => name in all, getData: name => all[name] };
  event.proposedAction = 'move';
  document.querySelector('.jp-mtor-composer').dispatchEvent(event);
  return event.dropAction;
}"""
#: Hands files to an element as a drop or a paste of the browser does.
HAND = """([name, type, words]) => {
  const data = new DataTransfer();
  data.items.add(new File([words], name, { type }));
  const options = { bubbles: true, cancelable: true };
  const [event, where] = type.startsWith('image/')
    ? [new ClipboardEvent('paste', { ...options, clipboardData: data }), '.jp-mtor-prompt']
    : [new DragEvent('drop', { ...options, dataTransfer: data }), '.jp-mtor-composer'];
  document.querySelector(where).dispatchEvent(event);
}"""
#: Tells which elements of the panel stick out of it.
WIDE = """() => {
  const panel = document.querySelector('.jp-mtor-panel');
  const right = panel.getBoundingClientRect().right + 1;
  return [...panel.querySelectorAll('button, input, select, textarea, table')]
    .filter(node => node.getClientRects().length && node.getBoundingClientRect().right > right)
    .map(node => node.outerHTML.slice(0, 80));
}"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def page(browsers: Browsers, lab: str) -> AsyncIterator[Page]:
    """One page for all."""
    yield await open_panel(await browsers.start(), lab)


async def test_everything_is_reached_by_keyboard_alone(page: Page) -> None:
    await begin_afresh(page, "chat")
    await page.evaluate("document.activeElement.blur()")
    await page.keyboard.press("Control+Alt+t")
    await expect(page.get_by_label("Your question")).to_be_focused()
    await page.keyboard.type("hello bees")
    await expect(page.get_by_label("Your question")).to_have_value("hello bees")
    # The model by its own keys, then back to the question.
    model = page.get_by_label("Model", exact=True)
    for _ in range(12):
        await page.keyboard.press("Tab")
        if await model.evaluate("node => node === document.activeElement"):
            break
    await expect(model).to_be_focused()
    await page.keyboard.press("ArrowUp")
    await expect(model).to_have_value("echo")
    await page.keyboard.press("Control+Alt+t")
    await expect(page.get_by_label("Your question")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator(".jp-mtor-assistant footer")).to_be_visible()
    # The tabs by arrows; each page's first control by Tab.
    await page.get_by_role("tab", name="Talk", exact=True).focus()
    for name in ("Look", "Imagine", "Queue", "Workers", "Credits", "Sysop"):
        await page.keyboard.press("ArrowRight")
        tab = page.get_by_role("tab", name=name, exact=True)
        await expect(tab).to_be_focused()
        await expect(tab).to_have_attribute("aria-selected", "true")
    await page.keyboard.press("Home")
    await expect(page.get_by_role("tab", name="Talk", exact=True)).to_be_focused()


async def test_files_pictures_and_cells_are_attached(page: Page) -> None:
    await begin_afresh(page)
    attached = page.get_by_label("Attached")
    await page.evaluate(HAND, ["bees.txt", "text/plain", "Bees make honey."])
    await expect(attached).to_contain_text("bees.txt")
    await page.evaluate(HAND, ["dot.png", "image/png", "x"])
    await expect(attached).to_contain_text("dot.png")
    await page.get_by_role("button", name="Take dot.png off").click()
    await expect(attached).not_to_contain_text("dot.png")
    done = await page.evaluate(DROP, ["application/vnd.jupyter.cells", [{"source": "x = 41 + 1"}]])
    assert done == "copy"
    await expect(attached).to_contain_text("1 cell")
    await page.evaluate(DROP, ["application/x-jupyter-icontents", ["nowhere.txt"]])
    await expect(page.get_by_role("alert")).to_contain_text("nowhere.txt")
    await ask_and_wait(page, "What is this?")
    answer = page.locator(".jp-mtor-assistant").last
    for words in ("bees.txt", "Bees make honey.", "x = 41 + 1"):
        await expect(answer).to_contain_text(words)


async def test_what_was_asked_is_found_reopened_and_exported(page: Page, tmp_path: Path) -> None:
    await begin_afresh(page)
    await ask_and_wait(page, "the word is zanzibar")
    await ask_and_wait(page, "quite another question")
    await page.get_by_role("tab", name="Credits", exact=True).click()
    await page.get_by_label("Search what you asked").fill("zanzibar")
    rows = page.locator(".jp-mtor-list > li")
    await expect(rows).to_have_count(1)
    await rows.locator("summary").click()
    await expect(rows.locator(".jp-mtor-markdown")).to_contain_text("the word is zanzibar")
    async with page.expect_download() as begun:
        await page.get_by_role("button", name="Export as CSV").click()
    path = tmp_path / "usage.csv"
    await (await begun.value).save_as(path)
    spent = list(csv.DictReader(io.StringIO(path.read_text())))
    assert sum(int(row["queries"]) for row in spent if row["model"] == "echo") >= 2


async def test_a_narrow_panel_cuts_nothing_off(page: Page) -> None:
    await page.set_viewport_size({"width": 480, "height": 700})
    for tab in TABS:
        await open_tab_whole(page, tab)
        assert await page.evaluate(WIDE) == [], tab
    await page.set_viewport_size({"width": 1280, "height": 800})


async def test_every_tab_is_a_command_of_the_palette(page: Page) -> None:
    await page.keyboard.press("Control+Shift+c")
    search = page.locator(".lm-CommandPalette-input:visible")
    await search.fill("MTOR: Workers")
    await search.press("Enter")
    tab = page.get_by_role("tab", name="Workers", exact=True)
    await expect(tab).to_have_attribute("aria-selected", "true")
