"""The panel in a page: opened once, and used by one test after the other."""

import re

from playwright.async_api import Browser, Locator, Page, expect

#: A real model answers, on a machine that may have much to do.
PATIENCE_MS = 120_000
#: The tabs, as a sysop sees them.
TABS = ("Talk", "Look", "Imagine", "Queue", "Workers", "Credits", "Sysop")

#: Opens the panel where it is closed. What was open is open again once the lab is restored, though
#: it may not be drawn yet: a click on its icon, by what is seen, would then close it.
OPEN = """async () => {
  await jupyterapp.restored;
  await jupyterapp.commands.execute('mtor-realm:open');
}"""

#: Measures what reaches the loudspeakers: the loudest so far, and how loud it is now.
EARS = """
window.loudness = window.volume = 0;
const connect = AudioNode.prototype.connect;
const meters = new WeakMap();
AudioNode.prototype.connect = function (target, ...rest) {
  if (target instanceof AudioDestinationNode && meters.has(this.context)) {
    connect.call(this, meters.get(this.context));
  } else if (target instanceof AudioDestinationNode) {
    const meter = this.context.createAnalyser();
    meters.set(this.context, meter);
    connect.call(this, meter);
    const samples = new Float32Array(meter.fftSize);
    setInterval(() => {
      meter.getFloatTimeDomainData(samples);
      window.volume = Math.max(...samples.map(Math.abs));
      window.loudness = Math.max(window.loudness, window.volume);
    }, 50);
  }
  return connect.call(this, target, ...rest);
};
"""
RESTORED = "() => window.jupyterapp?.restored.then(() => true)"
#: There is something in the middle, and it has asked for the keyboard. Whether it got it says the
#: shell's current widget: on a slow page none, for ever.
SETTLED = """() => [...window.jupyterapp.shell.widgets('main')].length > 0 && new Promise(
  done => requestAnimationFrame(() => requestAnimationFrame(() => done(true)))
)"""


async def open_panel(browser: Browser, address: str, tab: str = "Talk") -> Page:
    """Return a page with the panel open on `tab`, and the realm there."""
    page = await browser.new_page(viewport={"width": 1280, "height": 800})
    await page.add_init_script(EARS)
    await enter(page, address + "&reset", tab)
    return page


async def enter(page: Page, address: str, tab: str = "Talk") -> None:
    """Go to a lab and open the panel."""
    await page.goto(address)
    await ready(page)
    await open_tab(page, tab)


async def stands(page: Page) -> None:
    """Wait until the lab stands: a page that is none yet has no splash, either.

    Its first document, or the launcher, comes once the files are listed, and takes the keyboard:
    also from whoever types already.
    """
    for standing in (RESTORED, SETTLED):
        await page.wait_for_function(standing, timeout=PATIENCE_MS)
    await page.wait_for_selector("#jupyterlab-splash", state="detached", timeout=PATIENCE_MS)


async def ready(page: Page) -> None:
    """Wait until the lab stands and the panel has its realm."""
    await stands(page)
    await page.evaluate(OPEN)
    await expect(page.locator(".jp-mtor-tabs")).to_be_visible()
    await expect(page.locator(".jp-mtor-connection")).to_be_hidden()


#: What each tab shows of what it reads from the realm: without it nothing of it is there yet.
_READ = {
    "Queue": ".jp-mtor-table tbody tr",
    "Workers": ".jp-mtor-card tbody tr",
    "Credits": ".jp-mtor-figures dd",
    "Sysop": "[aria-label=People] summary",
}


async def open_tab_whole(page: Page, tab: str) -> None:
    """Open one of the panel's tabs, and wait until what it reads is there."""
    await open_tab(page, tab)
    await expect(page.locator(".jp-mtor-page")).to_be_visible()
    if tab in _READ:
        await expect(page.locator(f".jp-mtor-page {_READ[tab]}").first).to_be_visible()


async def open_tab(page: Page, tab: str) -> None:
    """Open one of the panel's tabs."""
    await page.get_by_role("tab", name=tab, exact=True).click()


async def begin_afresh(page: Page, model: str = "echo") -> None:
    """Begin a new conversation with a model, as if nobody had been here."""
    await open_tab(page, "Talk")
    await page.get_by_role("button", name="New conversation").click()
    await page.get_by_label("Your question").fill("")
    await choose(page, model)
    await expect(turns(page)).to_have_count(0)


async def choose(page: Page, model: str) -> None:
    """Choose who answers."""
    models = page.get_by_label("Model", exact=True)
    # Until they are read there is none but the one that is chosen already.
    await expect(models.locator("option").nth(1)).to_be_attached()
    await models.select_option(model)


def turns(page: Page) -> Locator:
    """The turns that are shown, questions and answers."""
    return page.locator(".jp-mtor-turn")


def answers(page: Page) -> Locator:
    """The answers that are shown."""
    return page.locator(".jp-mtor-turn.jp-mtor-assistant")


async def ask(page: Page, words: str) -> None:
    """Ask, and wait for nothing."""
    await page.get_by_label("Your question").fill(words)
    await page.get_by_label("Your question").press("Enter")


async def ask_and_wait(page: Page, words: str) -> Locator:
    """Ask, and return the answer when it is whole."""
    before = await answers(page).count()
    await ask(page, words)
    answer = answers(page).nth(before)
    await expect(answer.locator("footer")).to_contain_text(re.compile("credits"))
    return answer
