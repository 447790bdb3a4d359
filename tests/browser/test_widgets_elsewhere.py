"""The widgets where there is no JupyterLab: in Notebook 7, and in a page of Voilà."""

import re
from pathlib import Path

import pytest
from playwright.async_api import Locator, Page, expect

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
from tests.browser.panel import PATIENCE_MS
from tests.browser.test_widgets import ASK, CAMERA, MAP, SECONDS, press

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.asyncio(loop_scope="module"),
]

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
            "import time\nwhile True: time.sleep(0.1)",
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
        await page.goto(address, timeout=PATIENCE_MS)  # Voilà runs the notebook first
        await page.get_by_role("button", name="Use the camera").click()
        await page.get_by_role("button", name="Take the picture").click()
        await expect(page.get_by_text("image/jpeg (640, 480)")).to_be_visible()
        assert await page.evaluate(RELEASED)
        await page.get_by_label("Your question").fill("one two three")
        await page.get_by_role("button", name="Ask").click()
        await expect(page.get_by_role("region", name="Answer")).to_contain_text("three")
        await expect(page.get_by_text("credits")).to_be_visible()


REST = """from mtor_kernel.widgets import Cost, Drawing, Microphone, Queue
from ipywidgets import HTML, VBox
microphone, heard = Microphone(), HTML()
def listen(sound):
    heard.value = f"heard {sound.mime}"
microphone.on_taken(listen)
reply = realm.ask("hello")
VBox([microphone, heard, Drawing("painting", steps=10), Queue(), Cost()])"""


async def check_the_rest(page: Page | Locator) -> None:
    """See that the microphone, a drawing, the queue and the cost work."""
    await page.get_by_role("button", name="Record").click()
    await expect(page.get_by_text(SECONDS)).to_be_visible()
    await page.get_by_role("button", name="Stop and send").click()
    await expect(page.get_by_text("heard audio/wav")).to_be_visible()
    await page.get_by_label("What to draw").fill("a red heart")
    await page.get_by_label("What to draw").press("Enter")
    await expect(page.get_by_alt_text("a red heart", exact=True)).to_be_visible()
    await expect(page.get_by_role("table", name="Lanes")).to_contain_text("echo")
    await expect(page.get_by_role("table", name="By model")).to_contain_text("echo")


async def test_the_other_widgets_and_a_map_work_in_notebook_7(
    browsers: Browsers, surroundings: dict[str, str], media: Path, tmp_path: Path
) -> None:
    with serve_lab(tmp_path / "notebook", "notebook", **surroundings) as address:
        write_notebook(tmp_path / "notebook" / "work" / "n.ipynb", REST, MAP)
        page = await open_notebook(await browsers.start(*devices(media)), address, "n.ipynb")
        await check_the_rest(await run_cell(page, 0))
        assert await page.evaluate(RELEASED)
        mapping = await run_cell(page, 1)
        await expect(mapping.get_by_text(re.compile(r"\b[1-9]\d* of 300 rows"))).to_be_visible()
        await press(mapping, "Stop")
        await expect(mapping.locator(".jp-OutputArea")).to_contain_text("You stopped the map")
        await ended(mapping)


async def test_the_other_widgets_work_in_a_page_of_voila(
    browsers: Browsers, surroundings: dict[str, str], media: Path, tmp_path: Path
) -> None:
    write_notebook(tmp_path / "page.ipynb", REST)
    with serve_voila(tmp_path / "page.ipynb", **surroundings) as address:
        browser = await browsers.start(*devices(media))
        page = await browser.new_page(viewport={"width": 1000, "height": 1600})
        await page.add_init_script(TRACKS)
        await page.goto(address, timeout=PATIENCE_MS)  # Voilà runs the notebook first
        await check_the_rest(page)
        assert await page.evaluate(RELEASED)
