"""A browser, and a lab for it. Asynchronous, since pytest-jupyter has a loop of its own."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.browser.chromium import ARGUMENTS, CHROMIUM
from tests.browser.labserver import BUILT, serve_lab
from tests.browser.media import show, speak
from tests.kernel.elsewhere import MORE, RealmElsewhere
from tests.modalities import MODALITIES
from tests.widgets.conftest import SLOW

#: A real model answers, on a machine that may have much to do.
PATIENCE_MS = 120_000
expect.set_options(timeout=PATIENCE_MS)

#: What the false camera's card says.
WORD = "HELLO"
QUESTION = "What is the capital of France?"

#: Counts the sounds that are started, and measures what reaches the loudspeakers.
EARS = """
window.loudness = 0;
const connect = AudioNode.prototype.connect;
AudioNode.prototype.connect = function (target, ...rest) {
  if (target instanceof AudioDestinationNode) {
    const meter = this.context.createAnalyser();
    connect.call(this, meter);
    const samples = new Float32Array(meter.fftSize);
    setInterval(() => {
      meter.getFloatTimeDomainData(samples);
      window.loudness = Math.max(window.loudness, ...samples.map(Math.abs));
    }, 50);
  }
  return connect.call(this, target, ...rest);
};
"""


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a lab, for all tests of a run."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here: install it to drive the panel")
    if not (BUILT / "package.json").exists():
        pytest.skip("the panel is not built: run `make lab` or `make test` once")
    with serve_lab(tmp_path_factory.mktemp("lab")) as address:
        yield address


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the microphone hears and the camera sees."""
    folder = tmp_path_factory.mktemp("media")
    speak(folder / "question.wav", QUESTION, pause_seconds=2.0)
    speak(folder / "called.wav", "Computer, what do bees make?", pause_seconds=8.0)
    show(folder / "card.y4m", WORD)
    return folder


@pytest.fixture(scope="session")
def surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment in which kernels find a small realm that answers at once."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here: install it to drive the widgets")
    realm = RealmElsewhere(tmp_path_factory.mktemp("realm"), MODALITIES + MORE + SLOW)
    yield realm.environment
    realm.close()


def devices(media: Path, sound: str = "question.wav") -> tuple[str, ...]:
    """Arguments that give a browser its false devices, and allow them."""
    return (
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={media / sound}",
        f"--use-file-for-fake-video-capture={media / 'card.y4m'}",
    )


class Browsers:
    """Starts Chromium with whatever arguments a test needs."""

    def __init__(self) -> None:
        self._playwright = async_playwright()
        self._started: list[Browser] = []

    async def start(self, *arguments: str) -> Browser:
        """Return a new browser."""
        if not self._started:
            self._driver = await self._playwright.start()
        browser = await self._driver.chromium.launch(
            executable_path=CHROMIUM, args=[*ARGUMENTS, *arguments]
        )
        self._started.append(browser)
        return browser

    async def close(self) -> None:
        """End them all."""
        for browser in self._started:
            await browser.close()
        if self._started:
            await self._driver.stop()


@pytest_asyncio.fixture
async def browsers() -> AsyncIterator[Browsers]:
    """Browsers that end with the test."""
    made = Browsers()
    yield made
    await made.close()


async def open_panel(browser: Browser, address: str, tab: str = "Talk") -> Page:
    """Return a page with the panel open on `tab`, and the realm there."""
    page = await browser.new_page(viewport={"width": 1280, "height": 800})
    await page.add_init_script(EARS)
    await page.goto(address + "&reset")
    await page.wait_for_selector("#jupyterlab-splash", state="detached", timeout=PATIENCE_MS)
    if not await page.locator(".jp-mtor-tabs").is_visible():
        await page.locator("[role=tab][data-id=mtor-realm-panel]").click()
    await expect(page.locator(".jp-mtor-connection")).to_be_hidden()
    await page.get_by_role("tab", name=tab, exact=True).click()
    return page
