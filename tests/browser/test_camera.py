"""Cameras: two of them, none, and one that another program has."""

from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import Browsers
from tests.browser.notebooks import LIVE, RELEASED, TRACKS
from tests.browser.panel import enter

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.asyncio(loop_scope="module"),
]

ALLOWED = "--use-fake-ui-for-media-stream"
TWO, NONE = (f"--use-fake-device-for-media-stream=device-count={count}" for count in (2, 0))
#: A browser says this of a camera that another program has; Chromium's false one is nobody else's.
BUSY = """
const give = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
window.busy = true;
navigator.mediaDevices.getUserMedia = async constraints => {
  if (window.busy) {
    throw new DOMException('Could not start video source', 'NotReadableError');
  }
  return give(constraints);
};
null;
"""
#: Tells which camera the preview shows, if there is one: while another goes on there is none.
SHOWN = """() => document.querySelector('.jp-mtor-look video')
  ?.srcObject?.getVideoTracks()[0].getSettings().deviceId"""


async def look(browsers: Browsers, address: str, *arguments: str) -> Page:
    """Return a page that looks, in a browser with these cameras."""
    browser = await browsers.start(ALLOWED, *arguments)
    page = await browser.new_page(viewport={"width": 1280, "height": 800})
    await page.add_init_script(TRACKS)
    await enter(page, address + "&reset", "Look")
    return page


async def ask_about_a_file(page: Page, file: Path) -> None:
    """Do what one does where no camera is."""
    await page.get_by_label("A picture from a file").set_input_files(file)
    await expect(page.get_by_alt_text("The picture to ask about")).to_be_visible()
    await page.get_by_label("What do you want to know?").fill("What is it?")
    await page.get_by_role("button", name="Ask", exact=True).click()
    answer = page.locator(".jp-mtor-look [role=status]")
    await expect(answer).to_contain_text("I was sent 1 picture")
    await expect(answer).to_contain_text("You asked: What is it?")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture in a file."""
    from PIL import Image

    path = tmp_path_factory.mktemp("pictures") / "card.png"
    Image.new("RGB", (60, 40), "red").save(path)
    return path


async def test_one_chooses_among_two_cameras_and_the_choice_is_kept(
    browsers: Browsers, jupyter: tuple[str, Path]
) -> None:
    page = await look(browsers, jupyter[0], TWO)
    assert await page.evaluate(LIVE) == 0
    await page.get_by_role("button", name="Use the camera").click()
    cameras = page.get_by_label("Camera", exact=True)
    await expect(cameras.locator("option")).to_have_count(2)
    names = await cameras.locator("option").all_inner_texts()
    assert len(set(names)) == 2, names
    await cameras.select_option(label=names[1])
    other = await cameras.locator("option").nth(1).get_attribute("value")
    await page.wait_for_function(f"({SHOWN})() === '{other}'")
    await expect(cameras).to_have_value(str(other))
    assert await page.evaluate(LIVE) == 1  # the first one is off
    await page.get_by_role("button", name="Take the picture").click()
    await expect(page.get_by_alt_text("The picture to ask about")).to_be_visible()
    assert await page.evaluate(RELEASED)
    await page.get_by_role("button", name="Use the camera").click()
    await expect(cameras).to_have_value(str(other))
    await page.get_by_role("button", name="Camera off").click()
    assert await page.evaluate(RELEASED)


async def test_where_no_camera_is_a_sentence_says_so_and_a_file_does(
    browsers: Browsers, jupyter: tuple[str, Path], file: Path
) -> None:
    page = await look(browsers, jupyter[0], NONE)
    await page.get_by_role("button", name="Use the camera").click()
    await expect(page.get_by_role("alert")).to_have_text(
        "There is no camera here. Choose a file instead."
    )
    await ask_about_a_file(page, file)
    await expect(page.get_by_role("alert")).to_have_count(0)


async def test_a_busy_camera_is_told_and_works_once_it_is_free(
    browsers: Browsers, jupyter: tuple[str, Path], file: Path
) -> None:
    page = await look(browsers, jupyter[0], TWO)
    await page.evaluate(BUSY)
    await page.get_by_role("button", name="Use the camera").click()
    await expect(page.get_by_role("alert")).to_have_text(
        "Another program uses the camera. Close it there, or choose a file."
    )
    await ask_about_a_file(page, file)
    await expect(page.get_by_role("alert")).to_have_count(0)
    await page.evaluate("window.busy = false")
    await page.get_by_role("button", name="Use the camera").click()
    await page.get_by_role("button", name="Take the picture").click()
    await expect(page.get_by_alt_text("The picture to ask about")).to_be_visible()
    await expect(page.get_by_role("alert")).to_have_count(0)
