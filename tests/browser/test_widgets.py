"""The widgets in a real browser, with a false camera and a false microphone."""

import os
import re
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, expect

from mtor_kernel.protocol.media import Wav
from tests.browser.conftest import Browsers, devices
from tests.browser.labserver import AXE
from tests.browser.notebooks import (
    LIVE,
    RELEASED,
    ended,
    interrupt,
    open_another,
    open_notebook,
    run_cell,
    save,
    saved,
    write_notebook,
)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.asyncio(loop_scope="module"),
]

#: How long a recording is by now: a second or more, whenever a busy page is looked at.
SECONDS = re.compile(r"\b(?!0:00)\d+:\d\d\b")
CAMERA = """from mtor_kernel.widgets import Camera
camera = Camera()
frame = await camera.frame()
print("got", frame.mime, frame.pil.size)"""
MICROPHONE = """from mtor_kernel.widgets import Microphone
microphone = Microphone()
said = await microphone.recording()
from mtor_kernel.protocol.media import Wav
print("got", said.mime, Wav.of(said.content).seconds > 0.9)"""
SHOW = """from mtor_kernel.widgets import Camera
camera = Camera()
camera"""
ASK = """from mtor_kernel.widgets import Ask
ask = Ask("slow")
ask"""
MAP = "realm.map('Say {text}', [f'row {n}' for n in range(300)], model='slow', window=1)"
#: Keeps the names of all pictures that were shown.
PICTURES = """
window.pictures = new Set();
new MutationObserver(() => {
  for (const one of document.images) window.pictures.add(one.alt);
}).observe(document.body, {
  subtree: true, childList: true, attributes: true, attributeFilter: ['alt']
});
"""
DENIED = "--use-fake-ui-for-media-stream=deny", "--use-fake-device-for-media-stream"


class Desk:
    """Opens notebooks, one after the other in one page."""

    def __init__(self, browsers: Browsers, address: str, folder: Path) -> None:
        self._browsers = browsers
        self._address = address
        self._page: Page | None = None
        self.folder = folder

    async def open(self, name: str, *cells: str, arguments: tuple[str, ...] = ()) -> Page:
        """Return the page with a new notebook; a page of its own in a browser with `arguments`."""
        write_notebook(self.folder / f"{name}.ipynb", *cells)
        if self._page is None or arguments:
            browser = await self._browsers.start(*arguments)
            return await open_notebook(browser, self._address, f"{name}.ipynb")
        await open_another(self._page, f"{name}.ipynb")
        return self._page

    async def sit_down(self, *arguments: str) -> None:
        """Open the page."""
        self._page = await self.open("first", "", arguments=arguments)

    async def kept(self, page: Page, name: str) -> dict[str, Any]:
        """Return what is on the disk once the notebook is saved."""
        await save(page)
        return saved(self.folder / f"{name}.ipynb")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(browsers: Browsers, jupyter: tuple[str, Path], media: Path) -> Desk:
    made = Desk(browsers, *jupyter)
    await made.sit_down(*devices(media))
    return made


async def press(cell: Locator, name: str) -> None:
    await cell.get_by_role("button", name=name).click()


async def test_a_cell_waits_for_a_frame_and_the_notebook_keeps_none(desk: Desk) -> None:
    page = await desk.open("frame", CAMERA)
    cell = await run_cell(page, 0)
    await expect(cell.get_by_text("A cell waits for this.")).to_be_visible()
    assert await page.evaluate(LIVE) == 0
    await press(cell, "Use the camera")
    await press(cell, "Take the picture")
    await expect(cell.locator(".jp-OutputArea")).to_contain_text("got image/jpeg (640, 480)")
    await ended(cell)
    assert await page.evaluate(RELEASED)
    await expect(cell.get_by_text("the notebook keeps nothing of it")).to_be_visible()
    assert len(str(await desk.kept(page, "frame"))) < 3000


async def test_a_cell_waits_for_what_is_said(desk: Desk) -> None:
    page = await desk.open("said", MICROPHONE)
    cell = await run_cell(page, 0)
    await press(cell, "Record")
    await expect(cell.get_by_text("The microphone is on")).to_be_visible()
    await expect(cell.get_by_text(SECONDS)).to_be_visible()
    await press(cell, "Stop and send")
    await expect(cell.locator(".jp-OutputArea")).to_contain_text("got audio/wav True")
    await ended(cell)
    assert await page.evaluate(RELEASED)


async def test_an_interrupted_wait_leaves_nothing_running(desk: Desk) -> None:
    page = await desk.open("interrupted", CAMERA, "print(camera._waiting)")
    cell = await run_cell(page, 0)
    await press(cell, "Use the camera")
    await expect(cell.get_by_label("What the camera sees")).to_be_visible()
    await interrupt(page)
    await ended(cell)
    await expect(cell.get_by_text("A cell waits for this.")).to_be_hidden()
    await page.wait_for_function(RELEASED)
    after = await run_cell(page, 1)
    await expect(after.locator(".jp-OutputArea-output")).to_have_text("[]")


async def test_a_view_that_goes_takes_the_device_along(desk: Desk) -> None:
    page = await desk.open("cleared", SHOW)
    cell = await run_cell(page, 0)
    await press(cell, "Use the camera")
    await expect(cell.get_by_label("What the camera sees")).to_be_visible()
    await page.evaluate(
        "() => window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs')"
    )
    await page.wait_for_function(RELEASED)


async def test_a_kernel_that_goes_takes_the_device_along(desk: Desk) -> None:
    page = await desk.open("restarted", SHOW)
    cell = await run_cell(page, 0)
    await press(cell, "Use the camera")
    await expect(cell.get_by_label("What the camera sees")).to_be_visible()
    await page.evaluate(
        "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"
    )
    await page.wait_for_function(RELEASED)


@pytest.mark.parametrize(
    ("cells", "button", "words"),
    [(CAMERA, "Use the camera", "camera"), (MICROPHONE, "Record", "microphone")],
)
async def test_where_a_device_is_denied_a_file_does(
    desk: Desk, media: Path, cells: str, button: str, words: str
) -> None:
    page = await desk.open(f"denied-{words}", cells, arguments=DENIED)
    cell = await run_cell(page, 0)
    await press(cell, button)
    await expect(cell.get_by_role("alert")).to_contain_text(f"does not allow the {words} here")
    file = media / "question.wav"
    if words == "camera":
        file = media / "card.png"
        await page.screenshot(path=file)
    await cell.locator("input[type=file]").set_input_files(file)
    await expect(cell.locator(".jp-OutputArea")).to_contain_text(re.compile(r"got (image|audio)/"))
    await ended(cell)


async def test_an_answer_streams_and_stays_when_the_view_comes_again(desk: Desk) -> None:
    page = await desk.open("ask", ASK, "ask")
    cell = await run_cell(page, 0)
    await cell.get_by_label("Your question").fill("**one** two <b>three</b>")
    await press(cell, "Ask")
    answer = cell.get_by_role("region", name="Answer")
    await expect(answer.locator("strong").first).to_have_text("one")
    await expect(cell.get_by_text("credits")).to_be_visible()
    await expect(answer.locator("b")).to_have_count(0)
    await expect(cell.get_by_role("button", name="Stop")).to_be_hidden()
    again = await run_cell(page, 1)
    await expect(again.get_by_role("region", name="Answer")).to_contain_text("two <b>three</b>")
    assert "three" not in str(await desk.kept(page, "ask"))


async def test_an_answer_streams_and_stops_while_another_cell_runs(desk: Desk) -> None:
    page = await desk.open(
        "beside", ASK.replace("slow", "endless"), "import time\nwhile True: time.sleep(0.1)"
    )
    cell = await run_cell(page, 0)
    question = cell.get_by_label("Your question")
    await question.fill("one two three four five")
    sleeping = await run_cell(page, 1)
    await expect(sleeping.locator(".jp-InputPrompt")).to_have_text("[*]:")
    await press(cell, "Ask")
    await expect(cell.get_by_role("region", name="Answer")).to_contain_text("three")
    await press(cell, "Stop")
    await expect(cell.get_by_text("cancelled")).to_be_visible()
    await expect(sleeping.locator(".jp-InputPrompt")).to_have_text("[*]:")
    await interrupt(page)
    await ended(sleeping)


@pytest.mark.parametrize("how", ["realm.map", "await realm.amap"])
async def test_a_map_is_stopped_by_its_button(desk: Desk, how: str) -> None:
    page = await desk.open(f"map{len(how)}", MAP.replace("realm.map", how))
    cell = await run_cell(page, 0)
    await expect(cell.get_by_text(re.compile(r"\b[1-9]\d* of 300 rows"))).to_be_visible()
    await press(cell, "Stop")
    await expect(cell.locator(".jp-OutputArea")).to_contain_text("You stopped the map")
    await expect(cell.locator(".jp-OutputArea")).to_contain_text("of 300 rows answered")
    await ended(cell)
    await expect(cell.get_by_label("Rows of the map")).to_have_count(0)


async def test_a_drawing_appears(desk: Desk) -> None:
    cells = "from mtor_kernel.widgets import Drawing\nDrawing('painting', steps=100)"
    page = await desk.open("drawing", cells)
    await page.evaluate(PICTURES)
    cell = await run_cell(page, 0)
    await cell.get_by_label("What to draw").fill("a red heart")
    await cell.get_by_label("What to draw").press("Enter")
    await expect(cell.get_by_alt_text("a red heart", exact=True)).to_be_visible()
    assert "a red heart, not finished" in await page.evaluate("[...window.pictures]")
    await expect(cell.get_by_label("How far the picture is")).to_be_hidden()
    assert len(str(await desk.kept(page, "drawing"))) < 3000


async def test_the_queue_shows_and_cancels_and_the_cost_is_told(desk: Desk) -> None:
    ask = """from mtor_kernel.protocol.query import Query
running = realm.submit(Query.ask("one two three four", "endless"))
from mtor_kernel.widgets import Cost, Queue
Queue()"""
    page = await desk.open("queue", ask, "Cost()")
    cell = await run_cell(page, 0)
    await press(cell, "Cancel: one two three four")
    await expect(cell.get_by_text("Nothing of yours is under way.")).to_be_visible()
    await expect(cell.get_by_role("table", name="Lanes")).to_contain_text("endless")
    cost = await run_cell(page, 1)
    await expect(cost.get_by_role("table", name="By model")).to_contain_text("endless")


async def test_a_magic_asks_about_what_the_camera_sees_and_what_is_said(desk: Desk) -> None:
    page = await desk.open("magic", "%mtor see camera What is it?", "%mtor listen microphone")
    cell = await run_cell(page, 0)
    await press(cell, "Use the camera")
    await press(cell, "Take the picture")
    await expect(cell.locator(".jp-OutputArea")).to_contain_text("credits")
    await expect(cell.locator(".jp-OutputArea")).to_contain_text("the notebook does not keep")
    await ended(cell)
    await expect(cell.get_by_role("button", name="Use the camera")).to_have_count(0)
    other = await run_cell(page, 1)
    await press(other, "Record")
    await expect(other.get_by_text(SECONDS)).to_be_visible()
    await press(other, "Stop and send")
    await expect(other.locator(".jp-OutputArea")).to_contain_text("credits")
    assert await page.evaluate(RELEASED)
    assert len(str(await desk.kept(page, "magic"))) < 5000


SHOWN = """from mtor_kernel.widgets import Ask, Camera, Cost, Drawing, Microphone, Queue
realm.ask("hello")
ask, drawing = Ask(), Drawing()
ask.ask("# Bees\\n\\nmake [honey](https://example.org), `code` and\\n\\n- wax\\n- noise")
drawing.draw("a red heart")
ask.wait(100), drawing.wait(100)
display(Camera(wanted=True), Microphone(), ask, drawing, Queue(), Cost())"""


@pytest.mark.parametrize("theme", ["Light", "Dark"])
async def test_axe_finds_no_violation_in_any_widget(desk: Desk, theme: str) -> None:
    if not AXE.exists():
        pytest.skip("axe-core is not installed: run `jlpm install` in labextension")
    page = await desk.open(f"axe-{theme}", SHOWN)
    await page.evaluate(
        "theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})",
        f"JupyterLab {theme}",
    )
    light = "true" if theme == "Light" else "false"
    await page.wait_for_selector(f"body[data-jp-theme-light='{light}']", state="attached")
    await page.set_viewport_size({"width": 1100, "height": 3000})
    cell = await run_cell(page, 0)
    await expect(cell.get_by_role("table", name="By model")).to_be_visible()
    await expect(cell.get_by_role("table", name="Lanes")).to_be_visible()
    await expect(cell.get_by_alt_text("a red heart", exact=True)).to_be_visible()
    await press(cell, "Use the camera")
    # Its picture pushes down what is below: a button could move from under a click.
    await expect(cell.get_by_role("button", name="Take the picture")).to_be_enabled()
    await press(cell, "Record")
    await expect(cell.get_by_text(SECONDS)).to_be_visible()
    folder = Path(os.environ.get("MTOR_PICTURES") or desk.folder)
    await cell.screenshot(path=folder / f"widgets-{theme.lower()}.png")
    await page.add_script_tag(path=AXE)
    # The lab's body is empty in height and cuts off what is outside: to axe nothing would be seen.
    await page.add_style_tag(content="body { height: 100vh }")
    found = await page.evaluate("axe.run('.jp-OutputArea')")
    shown = [(one["id"], [node["html"] for node in one["nodes"]]) for one in found["violations"]]
    assert shown == []


async def test_a_long_recording_comes_whole(desk: Desk, tmp_path: Path) -> None:
    page = await desk.open("long", MICROPHONE + "\nprint(len(said.content))")
    frames = bytes(12_000_000)  # more than one message of a socket may be
    (tmp_path / "long.wav").write_bytes(Wav(1, 2, 16_000, b"").head(len(frames)) + frames)
    cell = await run_cell(page, 0)
    await expect(cell.get_by_role("button", name="Choose a file")).to_be_visible()
    await cell.locator("input[type=file]").set_input_files(tmp_path / "long.wav")
    size = (tmp_path / "long.wav").stat().st_size
    await expect(cell.locator(".jp-OutputArea")).to_contain_text(str(size))
    await ended(cell)
