"""The widgets where there is no JupyterLab: in Notebook 7, and in a page of Voilà."""

from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Browsers, devices
from tests.browser.labserver import serve_lab, serve_voila
from tests.browser.notebooks import (
    RELEASED,
    TRACKS,
    ended,
    interrupt,
    open_notebook,
    run_cell,
    write_notebook,
)
from tests.browser.test_widgets import ASK, CAMERA, press

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.asyncio]

PAGE = """from mtor_kernel.widgets import Ask, Camera
from ipywidgets import HTML, VBox
camera, said = Camera(), HTML()
def look(frame):
    said.value = f"{frame.mime} {frame.pil.size}"
camera.on_taken(look)
VBox([camera, said, Ask("slow")])"""


async def test_in_notebook_7_a_cell_waits_and_buttons_act_while_a_cell_runs(
    browsers: Browsers, surroundings: dict[str, str], media: Path, tmp_path: Path
) -> None:
    with serve_lab(tmp_path / "notebook", "notebook", **surroundings) as address:
        folder = tmp_path / "notebook" / "work"
        write_notebook(
            folder / "n.ipynb",
            CAMERA,
            ASK.replace("slow", "endless"),
            "import time; time.sleep(60)",
        )
        page = await open_notebook(await browsers.start(*devices(media)), address, "n.ipynb")
        cell = await run_cell(page, 0)
        await press(cell, "Use the camera")
        await press(cell, "Take the picture")
        await expect(cell.locator(".jp-OutputArea")).to_contain_text("got image/jpeg (640, 480)")
        await ended(cell)
        assert await page.evaluate(RELEASED)
        asking = await run_cell(page, 1)
        await asking.get_by_label("Your question").fill("one two three four five")
        sleeping = await run_cell(page, 2)
        await press(asking, "Ask")
        await expect(asking.get_by_role("region", name="Answer")).to_contain_text("three")
        await press(asking, "Stop")
        await expect(asking.get_by_text("cancelled")).to_be_visible()
        await interrupt(page)
        await ended(sleeping)


async def test_a_page_of_voila_has_a_camera_and_a_box_to_ask_in(
    browsers: Browsers, surroundings: dict[str, str], media: Path, tmp_path: Path
) -> None:
    write_notebook(tmp_path / "page.ipynb", PAGE)
    with serve_voila(tmp_path / "page.ipynb", **surroundings) as address:
        browser = await browsers.start(*devices(media))
        page = await browser.new_page(viewport={"width": 1000, "height": 1000})
        await page.add_init_script(TRACKS)
        await page.goto(address)
        await page.get_by_role("button", name="Use the camera").click()
        await page.get_by_role("button", name="Take the picture").click()
        await expect(page.get_by_text("image/jpeg (640, 480)")).to_be_visible()
        assert await page.evaluate(RELEASED)
        await page.get_by_label("Your question").fill("one two three")
        await page.get_by_role("button", name="Ask").click()
        await expect(page.get_by_role("region", name="Answer")).to_contain_text("three")
        await expect(page.get_by_text("credits")).to_be_visible()
