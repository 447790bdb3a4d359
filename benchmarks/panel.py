"""The panel in a real Chromium: how large, how soon, how smooth, and how much memory it keeps.

A real lab with a personal realm behind it, whose models are echoes. Frames and processor time are
compared with those of an empty page that reads the same stream.
"""

from __future__ import annotations

import contextlib
import gzip
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from benchmarks import frames
from benchmarks.harness import Bench, median
from benchmarks.table import Row
from tests.browser.chromium import ARGUMENTS, CHROMIUM
from tests.browser.labserver import BUILT, serve_lab
from tests.browser.panel import OPEN

TITLE = "The panel, in Chromium"
ANSWERS = 1_000
_KIB, _MIB = 1024, 2**20

_CATALOGUE = f"""
[[models]]
name = "echo"
modality = "chat"
backend = "echo"
slots = 4
default_max_tokens = 4096
rates = {{ free = true }}

{frames.CATALOGUE}
[aliases]
chat = ["echo"]
"""

#: Notes when the lab's splash is gone, and when the panel can be written in.
_CLOCK = """
window.marks = {};
const look = () => {
  const splash = document.getElementById('jupyterlab-splash');
  const prompt = document.querySelector('.jp-mtor-prompt');
  if (splash) marks.splash = 0;
  else if (marks.splash === 0) marks.splash = performance.now();
  const away = document.querySelector('.jp-mtor-connection');
  if (!marks.panel && prompt && away?.hidden) marks.panel = performance.now();
  if (!marks.panel || !marks.splash) requestAnimationFrame(look);
};
requestAnimationFrame(look);
"""
_ASK = """
window.ask = async text => {
  const box = document.querySelector('.jp-mtor-prompt');
  Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, 'value').set.call(box, text);
  box.dispatchEvent(new Event('input', { bubbles: true }));
  await new Promise(requestAnimationFrame);
  box.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true }));
};
window.askAll = async (from, to) => {
  for (let count = from; count < to; count++) {
    await ask(`number ${count}: ${'how many bees are there? '.repeat(8)}`);
    const here = () => {
      const turns = [...document.querySelectorAll('.jp-mtor-turn')].slice(-2);
      return turns[1]?.querySelector('footer') && turns[0].textContent.includes(`number ${count}:`);
    };
    while (!here()) await new Promise(requestAnimationFrame);
  }
};
"""


async def run(bench: Bench) -> list[Row]:
    """Measure."""
    if CHROMIUM is None or not (BUILT / "package.json").exists():
        bench.say("there is no Chromium here, or the panel is not built")
        return []
    folder = bench.place("panel")
    with serve_lab(folder / "lab", **_realm(folder)) as address:
        async with _browser() as browser:
            bench.say("opening the panel")
            loaded, splashes, panels = await _opening(browser, address, int(bench.pick(5, 2)))
            page = await _page(await browser.new_context(), address)
            bench.say(f"{frames.RATE} chunks a second")
            smooth = await frames.take_turns(page, address, int(bench.pick(3, 1)), bench.pick(8, 4))
            bench.say("answers that are kept")
            heaps = await _memory(page, int(bench.pick(ANSWERS, 200)))
    return [*_opened(loaded, splashes, panels), *smooth, *_kept(heaps)]


def _realm(folder: Path) -> dict[str, str]:
    """Return the variables of a realm of echoes that keeps all it has in `folder`."""
    data = folder / "data"
    data.mkdir()
    (folder / "catalogue.toml").write_text(_CATALOGUE)
    config = f"c.Realm.catalogue_path = {os.fspath(folder / 'catalogue.toml')!r}\n"
    (data / "realm_config.py").write_text(config)
    return {"MTOR_DATA": os.fspath(data)}


@contextlib.asynccontextmanager
async def _browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        # Without it, a page may not be asked for its rubbish to be collected.
        flags = [*ARGUMENTS, "--enable-precise-memory-info"]
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        await browser.close()


async def _page(context: BrowserContext, address: str) -> Page:
    """Return a page with the panel open and somebody there to answer."""
    page = await context.new_page()
    await page.set_viewport_size({"width": 1280, "height": 800})
    await page.add_init_script(_CLOCK)
    await page.goto(address)
    await page.wait_for_function("window.marks.splash > 0", timeout=frames.READY_MS)
    await page.evaluate(OPEN)
    await page.wait_for_function("window.marks.panel > 0", timeout=frames.READY_MS)
    await page.get_by_label("Model", exact=True).wait_for(timeout=frames.READY_MS)
    await page.evaluate(f"(() => {{ {_ASK} }})()")
    return page


async def _opening(
    browser: Browser, address: str, rounds: int
) -> tuple[dict[str, int], list[float], list[float]]:
    """Return what was fetched (gzipped bytes), and the milliseconds of each round."""
    first = await browser.new_context()
    page = await _page(first, address)
    await page.evaluate("askAll(0, 1)")  # the realm is up, and the lab knows that the panel is open
    await page.wait_for_timeout(1500)
    await first.close()
    loaded: dict[str, int] = {}
    splashes, panels = [], []
    for _ in range(rounds):
        context = await browser.new_context()  # and so an empty cache

        def note(url: str) -> None:
            path = BUILT / "static" / url.partition("?")[0].rpartition("/")[2]
            if "/mtor-realm/static/" in url:
                loaded[path.name] = len(gzip.compress(path.read_bytes()))

        context.on("request", lambda request: note(request.url))
        page = await _page(context, address)
        marks = await page.evaluate("window.marks")
        splashes.append(marks["splash"])
        panels.append(marks["panel"])
        await context.close()
    return loaded, splashes, panels


async def _memory(page: Page, answers: int) -> list[tuple[int, float, int]]:
    """Return, at points on the way: how many answers, the heap in MiB, the nodes of the page."""
    session = await page.context.new_cdp_session(page)
    await page.get_by_label("New conversation").click()
    await page.get_by_label("Model", exact=True).select_option("echo")
    found, done = [], 0
    for share in (0.0, 0.1, 0.5, 1.0):
        await page.evaluate("([from, to]) => askAll(from, to)", [done, round(share * answers)])
        done = round(share * answers)
        await page.wait_for_timeout(1000)
        for _ in range(2):
            await session.send("HeapProfiler.collectGarbage")
        heap: dict[str, Any] = await session.send("Runtime.getHeapUsage")
        nodes: dict[str, Any] = await session.send("Memory.getDOMCounters")
        found.append((done, heap["usedSize"] / _MIB, nodes["nodes"]))
    return found


def _opened(loaded: dict[str, int], splashes: list[float], panels: list[float]) -> list[Row]:
    size = sum(count for name, count in loaded.items() if name.endswith(".js")) / _KIB
    lab = "the lab's own page"
    return [
        Row("scripts, gzipped, before voice", size, "KiB", aim="≤ 400 KiB", met=size <= 400),
        Row("opening JupyterLab → a usable panel", *_pair(panels, splashes), lab),
    ]


def _pair(ours: list[float], floor: list[float]) -> tuple[float, str, float]:
    return median(ours) / 1000, "s", median(floor) / 1000


def _kept(heaps: list[tuple[int, float, int]]) -> list[Row]:
    (_, start, _), _, (half, at_half, _), (all_, end, nodes) = heaps
    first, second = (at_half - start) / half, (end - at_half) / (all_ - half)
    heap = f"JS heap after {all_:,} answers"
    return [
        Row(heap, end, "MiB", start, "none asked"),
        Row(f"  each of the first {half:,}", first * _KIB, "KiB"),
        Row(f"  each of the next {all_ - half:,}", second * _KIB, "KiB"),
        Row("  nodes in the page", nodes, "", heaps[0][2], "none asked"),
    ]
