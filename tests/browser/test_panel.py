"""The panel, in a real browser, before a real lab, with the real built-in models."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from PIL import Image
from playwright.async_api import Page, expect

from tests.browser.conftest import WORD, Browsers, devices
from tests.browser.labserver import AXE
from tests.browser.media import seconds_of
from tests.browser.notebooks import open_document, save, write_notebook
from tests.browser.panel import (
    PATIENCE_MS,
    TABS,
    answers,
    ask,
    ask_and_wait,
    begin_afresh,
    choose,
    open_panel,
    open_tab,
    open_tab_whole,
    turns,
)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.asyncio(loop_scope="module"),
]

#: Keeps what the picture that is being drawn has looked like.
SKETCHES = """
window.sketches = new Set();
new MutationObserver(() => {
  const sketch = document.querySelector('img.jp-mtor-unfinished');
  if (sketch) window.sketches.add(sketch.src);
}).observe(document.querySelector('.jp-mtor-panel'), {
  subtree: true, childList: true, attributes: true, attributeFilter: ['src']
});
"""


#: Shows what a tab shows where something is wrong.
TROUBLE = """() => {
  const [trouble, state] = [document.createElement('p'), document.createElement('span')];
  trouble.className = 'jp-mtor-trouble';
  state.className = 'jp-mtor-state jp-mtor-sick';
  trouble.textContent = state.textContent = 'Something is wrong.';
  document.querySelector('.jp-mtor-page > *').prepend(trouble, state);
}"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def page(browsers: Browsers, lab: str, media: Path) -> AsyncIterator[Page]:
    """One page for most, with a microphone and a camera."""
    yield await open_panel(await browsers.start(*devices(media)), lab)


async def test_a_question_is_answered_and_its_cost_is_shown(page: Page) -> None:
    await begin_afresh(page, "chat")
    answer = await ask_and_wait(page, "What do bees make?")
    await expect(answer.locator("footer")).to_contain_text(re.compile(r"smollm2 · .* credits"))
    assert len(await answer.inner_text()) > 20


async def test_what_is_said_is_written_down_answered_and_spoken(page: Page, media: Path) -> None:
    await begin_afresh(page, "chat")
    await page.get_by_label("Read answers out").check()
    button = page.get_by_role("button", name="Hold to speak")
    await button.hover()
    await page.mouse.down()
    await expect(page.get_by_text("let go when you have spoken")).to_be_visible()
    # Two rounds of the false microphone: one of them whole, wherever it is when the page listens.
    await page.wait_for_timeout(2000 * seconds_of(media / "question.wav"))
    await page.mouse.up()
    prompt = page.get_by_label("Your question")
    await expect(prompt).to_have_value(re.compile("capital of France", re.IGNORECASE))
    await expect(page.get_by_label("The microphone is on")).to_be_hidden()
    await page.evaluate("window.loudness = 0")
    await prompt.press("Enter")
    await expect(turns(page).first).to_contain_text("France")
    await page.wait_for_function("window.loudness > 0.05", timeout=PATIENCE_MS)
    await page.get_by_label("Read answers out").uncheck()
    await page.keyboard.press("Escape")


async def test_hands_free_hears_its_name_and_answers(
    browsers: Browsers, lab: str, media: Path
) -> None:
    page = await open_panel(await browsers.start(*devices(media, "called.wav")), lab)
    await page.get_by_role("button", name="Hands-free").click()
    await expect(page.locator(".jp-mtor-turn.jp-mtor-user").first).to_contain_text(
        re.compile("bees make", re.IGNORECASE)
    )
    await page.wait_for_function("window.loudness > 0.05", timeout=PATIENCE_MS)
    await page.get_by_role("button", name="Hands-free").click()
    await expect(page.get_by_label("The microphone is on")).to_be_hidden()


async def test_what_the_camera_sees_is_read(page: Page) -> None:
    await open_tab(page, "Look")
    await page.get_by_role("button", name="Use the camera").click()
    await page.get_by_role("button", name="Take the picture").click()
    await page.get_by_label("What do you want to know?").fill("What does it say?")
    await page.get_by_role("button", name="Ask", exact=True).click()
    await expect(page.locator(".jp-mtor-look [role=status]")).to_contain_text(WORD)


async def test_a_picture_sharpens_is_saved_and_goes_into_the_notebook(
    page: Page, lab: str, tmp_path: Path
) -> None:
    await page.evaluate(SKETCHES)
    await open_tab(page, "Imagine")
    await page.get_by_label("What to draw").fill("a red heart")
    await page.get_by_role("button", name="Draw").click()
    await expect(page.get_by_alt_text("a red heart", exact=True)).to_be_visible()
    assert await page.evaluate("window.sketches.size") > 1
    async with page.expect_download() as begun:
        await page.get_by_role("button", name="Save the picture").click()
    download = await begun.value
    assert download.suggested_filename == "a-red-heart.png"
    await download.save_as(tmp_path / "heart.png")
    with Image.open(tmp_path / "heart.png") as kept:
        assert kept.size == (256, 256)
    root, token = lab.split("/lab?token=")
    write_notebook(tmp_path / "heart.ipynb", "first = 1")
    await page.request.put(
        f"{root}/api/contents/heart.ipynb",
        headers={"Authorization": f"token {token}"},
        data={"type": "notebook", "content": json.loads((tmp_path / "heart.ipynb").read_text())},
    )
    await open_document(page, "heart.ipynb")
    cells = page.locator(".jp-Notebook .jp-Cell")
    await cells.first.locator(".cm-content").click()
    await page.get_by_role("button", name="Insert the picture into the notebook").click()
    shown = cells.nth(1).get_by_alt_text("a red heart")
    await expect(shown).to_be_visible()
    assert (
        await shown.evaluate("async node => { await node.decode(); return node.naturalWidth }")
        == 256
    )
    await save(page)


async def test_a_denied_device_is_told_in_a_sentence(browsers: Browsers, lab: str) -> None:
    denied = "--use-fake-ui-for-media-stream=deny", "--use-fake-device-for-media-stream"
    page = await open_panel(await browsers.start(*denied), lab)
    for tab, button, words in (
        ("Talk", "Hold to speak", "microphone"),
        ("Look", "Use the camera", "camera"),
    ):
        await open_tab(page, tab)
        await page.get_by_role("button", name=button).press("Enter")
        await expect(page.get_by_role("alert")).to_contain_text(words)
        await expect(page.get_by_role("alert")).to_contain_text("Allow it")


async def test_two_tabs_work_side_by_side(page: Page, lab: str) -> None:
    assert page.context.browser is not None
    both = (
        (page, "from the first"),
        (await open_panel(page.context.browser, lab), "from the second"),
    )
    await begin_afresh(page)
    for one, words in both:
        await choose(one, "echo")
        await ask(one, words)
    for one, words in both:
        answer = answers(one).last
        await expect(answer).to_contain_text(words)
        await expect(answer.locator("footer")).to_be_visible()


async def submit(page: Page, lab: str, prompt: str, model: str = "smollm2", **more: Any) -> str:
    """Ask as a notebook or a program does, past the panel; return the address of the query."""
    root, token = lab.split("/lab?token=")
    query = {"model": model, "options": {"max_tokens": 1000}} | more
    query["messages"] = [{"role": "user", "parts": [{"type": "text", "text": prompt}]}]
    answer = await page.request.post(
        f"{root}/mtor/api/queries",
        headers={"Authorization": f"token {token}"},
        data={"query": query, "key": prompt.replace(" ", "-")},
    )
    assert answer.status == 202, await answer.text()
    return f"{root}/mtor/api/queries/{(await answer.json())['query']}"


SO_FAR = r"about (0\.\d+) so far, at most 0\.\d+ credits"


async def test_a_query_asked_elsewhere_is_seen_and_can_be_cancelled(page: Page, lab: str) -> None:
    await open_tab(page, "Queue")
    prompts = ["Write a long story of a bee", "Write a long story of an ant"]
    for prompt in prompts:
        await submit(page, lab, prompt)
    rows = page.get_by_role("listitem")
    running, waiting = (rows.filter(has_text=prompt) for prompt in prompts)
    # What it has cost so far grows as it is told, below what it may cost at most.
    await expect(running).to_contain_text(re.compile(SO_FAR))
    begun = re.search(SO_FAR, await running.inner_text())
    assert begun is not None
    await expect(running).not_to_contain_text(begun[0])
    await expect(waiting).to_contain_text(re.compile(r"· at most 0\.\d+ credits"))
    for prompt in prompts:
        row = page.get_by_role("listitem").filter(has_text=prompt)
        await row.get_by_role("button", name="Cancel this query").click()
        await expect(row).to_have_count(0)


ROWS = [f"row {at} <img src=x>" for at in range(25)]
ROWS_TOLD = "25 rows, the first: row 0"


async def submit_rows(page: Page, lab: str) -> None:
    """Ask about rows as a map does, and wait for their end; a second time it is the first query."""
    rows = [{"text": text, "key": f"rows-{at}"} for at, text in enumerate(ROWS)]
    query = await submit(page, lab, ROWS[0], "echo", rows=rows, priority="batch")
    token = lab.split("/lab?token=")[1]
    told = await page.request.get(
        f"{query}/events", headers={"Authorization": f"token {token}"}, timeout=PATIENCE_MS
    )
    assert "event: settled" in await told.text()


async def test_rows_that_went_together_are_one_entry_that_opens_as_a_list(
    page: Page, lab: str
) -> None:
    await submit_rows(page, lab)
    await open_tab(page, "Credits")
    entry = page.get_by_role("listitem").filter(has_text=ROWS_TOLD)
    await expect(entry.get_by_text("settled")).to_be_visible()
    await entry.locator("summary").click()
    shown = entry.get_by_role("list", name="Answers by row").get_by_role("listitem")
    await expect(shown).to_have_count(20)
    # What was asked, and the echo of it, as words.
    await expect(shown.nth(19)).to_have_text(ROWS[19] * 2)
    await entry.get_by_role("button", name="Show more: 5 rows are left").click()
    await expect(shown).to_have_count(25)
    assert await entry.locator("img").count() == 0


@pytest.mark.parametrize("theme", ["Light", "Dark"])
async def test_axe_finds_no_violation(page: Page, lab: str, theme: str) -> None:
    if not AXE.exists():
        pytest.skip("axe-core is not installed: run `jlpm install` in labextension")
    await submit_rows(page, lab)
    await page.evaluate(
        "theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})",
        f"JupyterLab {theme}",
    )
    light = "true" if theme == "Light" else "false"
    await page.wait_for_selector(f"body[data-jp-theme-light='{light}']", state="attached")
    await page.add_script_tag(path=AXE)
    # The lab's body is empty in height and cuts off what is outside: to axe nothing would be seen.
    await page.add_style_tag(content="body { height: 100vh }")
    for tab in TABS:
        await open_tab_whole(page, tab)
        if tab == "Credits":
            await page.get_by_text(ROWS_TOLD).click()
            await expect(page.get_by_role("list", name="Answers by row")).to_be_visible()
        await page.evaluate(TROUBLE)
        found = await page.evaluate("axe.run('.jp-mtor-panel')")
        shown = [
            (one["id"], [node["html"] for node in one["nodes"]]) for one in found["violations"]
        ]
        assert shown == [], tab
        assert "color-contrast" in [one["id"] for one in found["passes"]], tab
