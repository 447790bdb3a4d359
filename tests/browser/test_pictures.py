"""A picture of each tab, for the documentation: `MTOR_PICTURES=docs/images` has them kept."""

import os
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import Browsers, devices, open_panel
from tests.browser.test_panel import TABS, ask

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.asyncio]


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
