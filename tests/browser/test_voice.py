"""Talking aloud, with the real models of speech: being interrupted, orders, settings.

The microphone of these pages is a mouth: it says what a test wants when it wants it, so that nobody
waits for a film of sound to come round. `test_panel.py` hears by Chromium's own false microphone.
"""

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.browser.conftest import QUESTION, WORD, Browsers, devices
from tests.browser.media import speak
from tests.browser.panel import (
    EARS,
    PATIENCE_MS,
    answers,
    ask_and_wait,
    begin_afresh,
    enter,
    open_tab,
    turns,
)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.asyncio(loop_scope="module"),
]

#: A microphone before which somebody says what `say` is given, a WAV in base64. Where the page
#: listens is where it is said, by one clock: between two of them a busy machine leaves gaps in it.
MOUTH = """
const given = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
const listened = AudioContext.prototype.createMediaStreamSource;
const ours = new WeakSet();
navigator.mediaDevices.getUserMedia = async constraints => {
  if (constraints.video) return given(constraints);
  const { stream } = new AudioContext().createMediaStreamDestination();
  ours.add(stream);
  return stream;
};
AudioContext.prototype.createMediaStreamSource = function (stream) {
  if (!ours.has(stream)) return listened.call(this, stream);
  const silence = new ConstantSourceNode(this, { offset: 0 });
  const out = new GainNode(this);
  silence.connect(out);
  silence.start();
  window.mouth = { context: this, out };
  return out;
};
window.say = async words => {
  const { context, out } = window.mouth;
  const content = Uint8Array.from(atob(words), one => one.charCodeAt(0));
  const source = new AudioBufferSourceNode(context, {
    buffer: await context.decodeAudioData(content.buffer)
  });
  source.connect(out);
  await new Promise(ended => {
    source.onended = ended;
    source.start();
  });
};
"""
LOUD, SILENT = "window.volume > 0.05", "window.volume < 0.001"
#: Takes the voice a while to read out.
LONG = " ".join(
    f"The {place} sentence is about bees, which make honey in the summer and eat it in the winter."
    for place in ("first", "second", "third", "fourth")
)

Say = Callable[[str], Awaitable[None]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def page(browsers: Browsers, lab: str, media: Path) -> AsyncIterator[Page]:
    """One page for all; the settings are as they were when it goes."""
    browser = await browsers.start(*devices(media))
    page = await browser.new_page(viewport={"width": 1280, "height": 800})
    await page.add_init_script(EARS + MOUTH)
    await enter(page, lab + "&reset")
    yield page
    root, token = lab.split("/lab?token=")
    await page.request.put(
        f"{root}/lab/api/settings/mtor-realm:panel",
        headers={"Authorization": f"token {token}"},
        data={"raw": "{}"},
    )


@pytest.fixture(scope="module")
def say(page: Page, tmp_path_factory: pytest.TempPathFactory) -> Say:
    """Says words before the page's microphone."""
    path = tmp_path_factory.mktemp("words") / "words.wav"

    async def say(words: str) -> None:
        speak(path, words, pause_seconds=0.2)
        await page.evaluate("words => say(words)", base64.b64encode(path.read_bytes()).decode())

    return say


async def listen(page: Page) -> None:
    """Have the panel listen for its name, which it shows."""
    await page.get_by_role("button", name="Hands-free").click()
    await expect(page.get_by_text("The microphone is on: say “computer”.")).to_be_visible()


async def heard(page: Page, what: str) -> None:
    """Wait until something is heard, or nothing any more, by whoever sits before the page."""
    await page.wait_for_function(what, timeout=PATIENCE_MS)


async def set_up(page: Page, setting: str, wanted: bool | int) -> None:
    """Change a setting where one changes settings."""
    await page.evaluate(
        "async () => {"
        " await jupyterapp.commands.execute('settingeditor:open', { query: 'MTOR realm' }) }"
    )
    field = page.locator(".jp-FormGroup-content").filter(has_text=setting).last.locator("input")
    async with page.expect_response(
        lambda one: one.request.method == "PUT" and "/lab/api/settings/mtor-realm" in one.url
    ):
        if isinstance(wanted, bool):
            await field.set_checked(wanted)
        else:
            await field.fill(str(wanted))


async def test_what_was_heard_is_sent_at_once_where_one_likes_that(page: Page, say: Say) -> None:
    await set_up(page, "Send what was heard at once", True)
    await begin_afresh(page)
    await page.get_by_role("button", name="Hold to speak").hover()
    await page.mouse.down()
    await expect(page.get_by_text("let go when you have spoken")).to_be_visible()
    await say(QUESTION)
    await page.mouse.up()
    await expect(turns(page).first).to_contain_text(re.compile("capital of France", re.IGNORECASE))
    await expect(page.get_by_label("Your question")).to_have_value("")
    await expect(page.get_by_label("The microphone is on")).to_be_hidden()


async def test_speech_and_escape_silence_an_answer_that_is_read_out(page: Page, say: Say) -> None:
    await begin_afresh(page)
    await listen(page)
    silence = page.get_by_role("button", name="Silence")
    await ask_and_wait(page, LONG)
    await heard(page, LOUD)
    await say("Wait a moment, please.")
    await expect(silence).to_be_hidden()
    await heard(page, SILENT)
    await ask_and_wait(page, LONG)
    await heard(page, LOUD)
    await page.get_by_label("Your question").press("Escape")
    await expect(silence).to_be_hidden()
    await heard(page, SILENT)
    # What was said without the name is for somebody else.
    await expect(turns(page)).to_have_count(4)
    await page.get_by_role("button", name="Hands-free").click()


async def test_spoken_orders_are_followed(page: Page, say: Say) -> None:
    await begin_afresh(page)
    await ask_and_wait(page, "Bees make honey.")
    await listen(page)
    await say("Computer, repeat.")
    await heard(page, LOUD)
    await heard(page, SILENT)
    await say("Computer, imagine a red heart.")
    await expect(page.get_by_role("log", name="Pictures")).to_contain_text(
        re.compile("a red heart", re.IGNORECASE)
    )
    # Wherever one is, it is to be seen that the microphone is on.
    await expect(page.get_by_role("img", name="The microphone is on")).to_be_visible()
    await expect(page.get_by_role("button", name="The microphone is on")).to_be_visible()
    await say("Computer, look.")
    await expect(page.get_by_role("tab", name="Look")).to_have_attribute("aria-selected", "true")
    await expect(page.get_by_label("What the camera sees")).to_have_count(0)
    # The next sentence belongs to it, also where it begins before the first is written down.
    await say("Computer, look.")
    await say("What does it say?")
    await expect(page.get_by_label("What do you want to know?")).to_have_value(
        re.compile("what does it say", re.IGNORECASE)
    )
    await expect(page.locator(".jp-mtor-look [role=status]")).to_contain_text(WORD)
    await expect(page.get_by_label("What the camera sees")).to_have_count(0)  # it is off again
    await heard(page, LOUD)
    await say("Computer, help.")
    await expect(page.get_by_role("tab", name="Talk")).to_have_attribute("aria-selected", "true")
    await heard(page, LOUD)
    await say("Computer, stop.")
    await expect(page.get_by_role("button", name="Silence")).to_be_hidden()
    await heard(page, SILENT)
    await expect(answers(page)).to_have_count(1)
    await say("Computer, goodbye.")
    await expect(page.get_by_label("The microphone is on")).to_be_hidden()
    await expect(page.get_by_role("button", name="The microphone is on")).to_be_hidden()


async def test_hands_free_ends_by_itself_when_nobody_speaks(page: Page) -> None:
    await set_up(page, "End hands-free after so many seconds without a word", 10)
    await open_tab(page, "Talk")
    sign = page.get_by_label("The microphone is on")
    # At once: the seconds could be over before a busy machine has looked twice.
    await asyncio.gather(listen(page), expect(sign).to_be_visible())
    await expect(sign).to_be_hidden()
    button = page.get_by_role("button", name="Hands-free")
    await expect(button).to_have_attribute("aria-pressed", "false")
