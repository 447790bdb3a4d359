"""A picture of each tab, for the documentation: `MTOR_PICTURES=docs/images` has them kept."""

import json
import os
import re
from pathlib import Path

import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import Browsers, devices
from tests.browser.notebooks import ended, open_notebook, run_cell, write_notebook
from tests.browser.panel import TABS, ask, open_panel

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.asyncio(loop_scope="module"),
]


async def fill(page: Page, tab: str) -> None:
    """Do in a tab what makes a picture of it worth looking at."""
    if tab == "Talk":
        await ask(page, "Why is the sky blue? Answer in one sentence.")
        await expect(page.locator(".jp-mtor-turn.jp-mtor-assistant footer")).to_be_visible()
    elif tab == "Look":
        await page.get_by_role("button", name="Use the camera").click()
        await page.get_by_role("button", name="Take the picture").click()
        await page.get_by_role("button", name="Ask", exact=True).click()
        await expect(page.locator(".jp-mtor-look details")).to_be_visible()
    elif tab == "Imagine":
        await page.get_by_label("What to draw").fill("a red heart")
        await page.get_by_label("What to draw").press("Enter")
        await expect(page.locator(".jp-mtor-turn[aria-busy=false]")).to_be_visible()
    elif tab == "Queue":
        await expect(page.locator(".jp-mtor-table tbody tr").first).to_be_visible()
    elif tab == "Workers":
        await expect(page.locator(".jp-mtor-sparkline polyline").first).to_have_attribute(
            "points",
            re.compile(r"\S \S"),  # a line has two ends
        )
    elif tab == "Credits":
        await expect(page.locator(".jp-mtor-spent rect").first).to_be_visible()
        await expect(page.locator(".jp-mtor-list summary").first).to_be_visible()
    elif tab == "Sysop":
        people = page.get_by_role("region", name="People")
        await expect(people.locator("summary").first).to_contain_text("credits")
        audit = page.get_by_role("region", name="Audit log")
        await expect(audit).to_be_visible()


async def test_every_tab_shows_something_worth_a_picture(
    browsers: Browsers, lab: str, media: Path, tmp_path: Path
) -> None:
    folder = Path(os.environ.get("MTOR_PICTURES") or tmp_path)
    page = await open_panel(await browsers.start(*devices(media)), lab)
    await page.locator(".jp-LauncherCard[title*='MTOR']").first.click()
    await page.wait_for_selector(".jp-Notebook")
    for tab in TABS:
        await page.get_by_role("tab", name=tab, exact=True).click()
        await fill(page, tab)
        picture = folder / f"panel-{tab.lower()}.png"
        shown = page if tab == "Talk" else page.locator(".jp-mtor-panel")
        await shown.screenshot(path=picture)
        assert picture.stat().st_size > 5_000


WIDGETS = {
    "camera": "from mtor_kernel.widgets import Camera\nframe = await Camera().frame()",
    "ask": "from mtor_kernel.widgets import Ask\nAsk(max_tokens=80)",
    "drawing": "from mtor_kernel.widgets import Drawing\nDrawing(seed=7)",
    "map": "realm.map('Say something nice about {n}.', [f'day {n}' for n in range(40)])",
    "queue": "from mtor_kernel.widgets import Queue\nQueue()",
    "cost": "from mtor_kernel.widgets import Cost\nCost()",
}


async def use(cell: Locator, widget: str) -> None:
    """Do with a widget what makes a picture of it worth looking at."""
    if widget == "camera":
        await cell.get_by_role("button", name="Use the camera").click()
        await expect(cell.get_by_role("button", name="Take the picture")).to_be_enabled()
    elif widget == "ask":
        await cell.get_by_label("Your question").fill("What do bees make?")
        await cell.get_by_role("button", name="Ask").click()
        await expect(cell.get_by_text("credits")).to_be_visible()
    elif widget == "drawing":
        await cell.get_by_label("What to draw").fill("a red heart")
        await cell.get_by_role("button", name="Draw").click()
        await expect(cell.get_by_alt_text("a red heart", exact=True)).to_be_visible()
    elif widget == "map":
        await expect(cell.get_by_text("left")).to_be_visible()
    else:
        # Else what it says in its place tells what was wrong.
        await expect(cell.locator(".mtor-widget")).to_contain_text("Model")
        await expect(cell.get_by_role("table").first).to_be_visible()


async def test_every_widget_shows_something_worth_a_picture(
    browsers: Browsers, lab: str, media: Path, tmp_path: Path
) -> None:
    folder = Path(os.environ.get("MTOR_PICTURES") or tmp_path)
    browser = await browsers.start(*devices(media))
    write_notebook(tmp_path / "w.ipynb", *WIDGETS.values())
    root, token = lab.split("/lab?token=")
    made = {"type": "notebook", "content": json.loads((tmp_path / "w.ipynb").read_text())}
    about = await browser.new_page()
    await about.request.put(
        f"{root}/api/contents/w.ipynb", headers={"Authorization": f"token {token}"}, data=made
    )
    page = await open_notebook(browser, lab, "w.ipynb")
    for number, widget in enumerate(WIDGETS):
        cell = await run_cell(page, number)
        await use(cell, widget)
        picture = folder / f"widget-{widget}.png"
        await cell.locator(".mtor-widget").screenshot(path=picture)
        assert picture.stat().st_size > 2_000
        if widget == "camera":
            await cell.get_by_role("button", name="Take the picture").click()
        elif widget == "map":
            await cell.get_by_role("button", name="Stop").click()
        await ended(cell)
