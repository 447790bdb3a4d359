"""A browser, and a lab for it. Asynchronous, since pytest-jupyter has a loop of its own.

A file's tests share one browser, and most of them one page: to open it takes longer than
what is done in it.
"""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, async_playwright, expect
from traitlets.config import Config

from mtor_kernel.protocol.identity import User
from tests.browser.chromium import ARGUMENTS, CHROMIUM
from tests.browser.labserver import BUILT, serve_lab
from tests.browser.media import show, speak
from tests.browser.panel import PATIENCE_MS
from tests.kernel.elsewhere import MORE, RealmElsewhere
from tests.modalities import MODALITIES
from tests.widgets.conftest import SLOW

expect.set_options(timeout=PATIENCE_MS)

#: What the false camera's card says.
WORD = "HELLO"
QUESTION = "What is the capital of France?"

#: Another person of the small realm, and their token.
ANN, ANNS_TOKEN = "ann", "token-of-ann"
#: Takes two seconds for anything, and one query at a time: others wait.
PONDEROUS = """
[[models]]
name = "ponderous"
modality = "chat"
backend = "echo"
slots = 1
max_output_tokens = 1000
rates = { output_token_micro = 5 }
settings = { chunks = 2, rate = 0.5 }
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
    # It comes round again only long after it is answered: who speaks silences the answer.
    speak(folder / "called.wav", "Computer, what do bees make?", pause_seconds=40.0)
    show(folder / "card.y4m", WORD)
    return folder


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealmElsewhere]:
    """A small realm that answers at once. Who drives a lab is its sysop; ann has a token."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here: install it to drive the panel and the widgets")
    catalogue = MODALITIES + MORE + SLOW + PONDEROUS
    people = [(ANNS_TOKEN, User(ANN))]
    funds = Config({"People": {"grant_credits": {"user": 100.0}}})
    folder = tmp_path_factory.mktemp("realm")
    realm = RealmElsewhere(folder, catalogue, people=people, config=funds)
    yield realm
    realm.close()


@pytest.fixture(scope="session")
def surroundings(town: RealmElsewhere) -> dict[str, str]:
    """The environment in which kernels find the small realm."""
    return town.environment


@pytest.fixture(scope="session")
def jupyter(
    tmp_path_factory: pytest.TempPathFactory, surroundings: dict[str, str]
) -> Iterator[tuple[str, Path]]:
    """The address of a lab with the small realm, and the folder of its notebooks."""
    folder = tmp_path_factory.mktemp("jupyter")
    with serve_lab(folder, **surroundings) as address:
        yield address, folder / "work"


def devices(media: Path, sound: str = "question.wav") -> tuple[str, ...]:
    """Arguments that give a browser its false devices, and allow them."""
    return (
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={media / sound}",
        f"--use-file-for-fake-video-capture={media / 'card.y4m'}",
    )


class Browsers:
    """Starts Chromium with whatever arguments a test needs, once for each."""

    def __init__(self) -> None:
        self._playwright = async_playwright()
        self._started: dict[tuple[str, ...], Browser] = {}

    async def start(self, *arguments: str) -> Browser:
        """Return a browser with these arguments."""
        if not self._started:
            self._driver = await self._playwright.start()
        if arguments not in self._started:
            self._started[arguments] = started = await self._driver.chromium.launch(
                executable_path=CHROMIUM, args=[*ARGUMENTS, *arguments]
            )
            # To click, to go somewhere and to wait has as long as to expect something.
            started.on("context", lambda made: made.set_default_timeout(PATIENCE_MS))
        return self._started[arguments]

    @property
    def open(self) -> list[BrowserContext]:
        """What is open in any of them."""
        return [one for browser in self._started.values() for one in browser.contexts]

    async def close(self) -> None:
        """End them all."""
        for browser in self._started.values():
            await browser.close()
        if self._started:
            await self._driver.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browsers() -> AsyncIterator[Browsers]:
    """Browsers that end with a file's tests."""
    made = Browsers()
    yield made
    await made.close()


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def own_pages(browsers: Browsers) -> AsyncIterator[None]:
    """Close what a test has opened for itself alone."""
    before = browsers.open
    yield
    for context in browsers.open:
        if context not in before:
            await context.close()
