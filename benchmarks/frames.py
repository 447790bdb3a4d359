"""Frames that a page drops while an answer streams in, and those that it would drop in any case.

The floor is an empty page of the same lab in the same browser that asks the same over a socket of
its own and shows nothing of it: what it drops, machine and stream have taken, and no panel. The two
take turns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from playwright.async_api import CDPSession, Page

from benchmarks.table import Row

#: Chunks a second, and the seconds that an answer would take; it is stopped long before.
RATE, SECONDS = 500, 60
MODEL = "torrent"
CATALOGUE = f"""
[[models]]
name = "{MODEL}"
modality = "chat"
backend = "echo"
slots = 4
default_max_tokens = {RATE * SECONDS}
max_output_tokens = {RATE * SECONDS}
settings = {{ chunks = {RATE * SECONDS}, rate = {RATE} }}
rates = {{ free = true }}
"""
_SCRIPT = "lab/extensions/mtor-realm/static/style.js"
FRAME_MS = 1000 / 60
READY_MS = 120_000
#: What the torrent says over and over: what an answer may have in it.
WORDS = (
    "Bees make **honey** from the *nectar* of flowers.\n\n* They dance, and `turn(left)`.\n"
    "* They sleep.\n\n```python\nfor bee in hive:\n    bee.fly()\n```\n\nSo it is."
)
_ENDED = ".jp-mtor-assistant footer >> nth=-1"

#: Gives when each frame began.
_FRAMES = """ms => new Promise(done => {
  const at = [];
  const frame = time => {
    at.push(time);
    time - at[0] < ms ? requestAnimationFrame(frame) : done(at);
  };
  requestAnimationFrame(frame);
})"""
#: Asks and reads as the panel does; fulfilled with the first chunk.
_READ = """([model, words]) => new Promise((begun, failed) => {
  const root = location.href.replace(/^http/, 'ws').replace(/lab\\/.*/, '');
  const socket = new WebSocket(`${root}mtor/ngram${location.search}`, ['mtor.ngram.v1']);
  const say = ngram => socket.send(JSON.stringify(ngram));
  const query = { model, messages: [{ role: 'user', parts: [{ type: 'text', text: words }] }] };
  let name = '';
  socket.onopen = () => say({ op: 'hello', client: 'bench' });
  socket.onclose = () => failed(new Error('the socket was closed'));
  socket.onmessage = ({ data }) => {
    const said = JSON.parse(data);
    if (said.op === 'welcome') say({ op: 'submit', id: 'bench', key: crypto.randomUUID(), query });
    if (said.op === 'admitted') name = said.query;
    if (said.op === 'refused') failed(new Error(said.error.message));
    if (said.op === 'chunk') begun();
  };
  window.stop = () => new Promise(ended => {
    socket.addEventListener('message', ({ data }) => {
      if (JSON.parse(data).op === 'cancelled') ended();
    });
    say({ op: 'cancel', query: name });
  });
})"""


@dataclass(frozen=True, slots=True)
class Smooth:
    """How a stretch of time went in a page."""

    frames: int
    dropped: int
    #: Processor seconds of the main thread.
    busy: float
    seconds: float
    longest_ms: float


async def take_turns(panel: Page, lab: str, rounds: int, seconds: float) -> list[Row]:
    """Measure an empty page and the panel in turns; `lab` is the lab's address."""
    idle, bare, seen = [], [], []
    await panel.get_by_label("Model", exact=True).select_option(MODEL)
    for _ in range(rounds):
        empty = await _empty(panel, lab)
        idle.append(await _watch(empty, seconds / 2))
        await empty.evaluate(_READ, [MODEL, WORDS])
        bare.append(await _watch(empty, seconds))
        await empty.evaluate("stop()")
        await empty.close()
        await panel.bring_to_front()
        seen.append(await _stream(panel, seconds))
    return _rows(_whole(idle), _whole(bare), _whole(seen))


async def _empty(beside: Page, lab: str) -> Page:
    """Return a page of the lab's with nothing in it."""
    page = await beside.context.new_page()
    # A script that is shown as one: the lab's server gives it as it stands, and nobody runs it.
    await page.goto(lab.replace("/lab?", f"/{_SCRIPT}?"))
    await page.evaluate("document.body.replaceChildren()")
    return page


async def _stream(panel: Page, seconds: float) -> Smooth:
    """Watch the panel while an answer comes in sight, and stop it."""
    await panel.get_by_role("button", name="New conversation").click()
    await panel.evaluate("words => ask(words)", WORDS)
    await panel.wait_for_selector("[aria-busy=true] .jp-mtor-markdown p >> nth=0", timeout=READY_MS)
    seen = await _watch(panel, seconds)
    assert await panel.locator(".jp-mtor-turn[aria-busy=true]").count() == 1, "it ended too soon"
    await panel.get_by_role("button", name="Stop the answer").click()
    await panel.wait_for_selector(_ENDED, timeout=READY_MS)
    return seen


async def _watch(page: Page, seconds: float) -> Smooth:
    session = await page.context.new_cdp_session(page)
    await session.send("Performance.enable")
    before = await _metrics(session)
    at: list[float] = await page.evaluate(_FRAMES, seconds * 1000)
    after = await _metrics(session)
    await session.detach()
    gaps = [later - sooner for sooner, later in pairwise(at)]
    return Smooth(
        frames=len(gaps),
        dropped=sum(max(0, round(gap / FRAME_MS) - 1) for gap in gaps),
        busy=after["ThreadTime"] - before["ThreadTime"],
        seconds=(at[-1] - at[0]) / 1000,
        longest_ms=max(gaps),
    )


async def _metrics(session: CDPSession) -> dict[str, float]:
    found: dict[str, Any] = await session.send("Performance.getMetrics")
    return {one["name"]: one["value"] for one in found["metrics"]}


def _whole(rounds: Sequence[Smooth]) -> Smooth:
    """Return all rounds as one."""
    return Smooth(
        frames=sum(one.frames for one in rounds),
        dropped=sum(one.dropped for one in rounds),
        busy=sum(one.busy for one in rounds),
        seconds=sum(one.seconds for one in rounds),
        longest_ms=max(one.longest_ms for one in rounds),
    )


def _rows(idle: Smooth, bare: Smooth, seen: Smooth) -> list[Row]:
    empty = "an empty page that reads the same"
    dropped = f"frames dropped, {RATE} chunks a second"
    share = 100 * seen.busy / seen.seconds, "%", 100 * bare.busy / bare.seconds
    return [
        Row(dropped, seen.dropped, "", bare.dropped, empty, None, "none more", _fair(bare, seen)),
        Row("  of frames due", seen.frames + seen.dropped, "", bare.frames + bare.dropped),
        Row("  an empty page while nothing comes", idle.dropped),
        Row("    of frames due", idle.frames + idle.dropped),
        Row("  longest frame", seen.longest_ms, "ms", bare.longest_ms, empty),
        Row("  main thread's processor time", *share, empty),
    ]


def _fair(bare: Smooth, seen: Smooth) -> bool:
    return seen.dropped <= bare.dropped
