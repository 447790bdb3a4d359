"""Talking in writing: what it costs, stopping, copying, inserting, and what the status bar says."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, expect

from mtor_kernel.client import RealmClient
from mtor_kernel.protocol.query import Query
from tests.browser.cable import Cable
from tests.browser.conftest import ANNS_TOKEN, Browsers
from tests.browser.notebooks import (
    ended,
    open_another,
    open_document,
    run_cell,
    write_notebook,
)
from tests.browser.panel import (
    EARS,
    answers,
    ask,
    ask_and_wait,
    begin_afresh,
    choose,
    enter,
    ready,
    turns,
)
from tests.kernel.elsewhere import RealmElsewhere

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.asyncio(loop_scope="module"),
]

#: So many queries of `ponderous` are under way for the better part of a minute.
MANY = 25
CODE = "Try this:\n\n```python\nbees = 6 * 7\n```\n\nand look."


@dataclass
class Desk:
    """A page of the small realm's lab with the panel open, and what lies around it."""

    page: Page
    cable: Cable
    #: Where notebooks lie.
    folder: Path


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(browsers: Browsers, jupyter: tuple[str, Path]) -> AsyncIterator[Desk]:
    """One desk for all."""
    address, folder = jupyter
    context = await (await browsers.start()).new_context(viewport={"width": 1280, "height": 800})
    await context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = await context.new_page()
    await page.add_init_script(EARS)
    cable = await Cable.lay(page)
    await enter(page, address + "&reset")
    yield Desk(page, cable, folder)


@pytest.fixture
def page(desk: Desk) -> Page:
    return desk.page


@pytest_asyncio.fixture(loop_scope="module")
async def ann(town: RealmElsewhere) -> AsyncIterator[RealmClient]:
    """Somebody else, who asks the same realm."""
    async with town.small.client(ANNS_TOKEN) as client:
        yield client


def status(page: Page) -> Locator:
    """The realm's line in the status bar."""
    return page.get_by_role("button", name=re.compile("^MTOR:"))


async def test_price_and_wait_are_shown_before_a_question_is_sent(
    page: Page, ann: RealmClient
) -> None:
    await begin_afresh(page, "ponderous")
    price = page.get_by_title("What the question costs at most")
    await ask_and_wait(page, "one")  # how long it usually takes is known only after one
    question = page.get_by_label("Your question")
    await question.fill("one two")
    await expect(price).to_have_text(re.compile(r"^≤ 0\.\d+ credits\s*$"))
    others = [await ann.submit(Query.ask("before you", "ponderous")) for _ in range(MANY)]
    await question.fill("one two three")
    await expect(price).to_have_text(re.compile(r"^≤ 0\.\d+ credits · about \d.* (s|min) to wait$"))
    for one in others:
        await one.cancel()
    await question.fill("")
    await expect(price).to_have_count(0)
    await expect(turns(page)).to_have_count(2)


async def test_an_answer_is_stopped_and_what_has_come_of_it_stays(page: Page) -> None:
    await begin_afresh(page, "endless")
    await ask(page, "one two three four five")
    await expect(answers(page)).to_contain_text("three")
    await page.get_by_role("button", name="Stop the answer").click()
    await expect(answers(page)).to_contain_text("Stopped.")
    await expect(answers(page)).to_contain_text("three")
    await expect(page.get_by_role("button", name="Send")).to_be_visible()
    # By the key, too; and one asks on.
    await ask(page, "six seven eight nine ten")
    await expect(answers(page).nth(1)).to_contain_text("eight")
    await page.keyboard.press("Escape")
    await expect(answers(page).nth(1)).to_contain_text("Stopped.")


async def test_an_answer_is_copied_as_it_was_written(page: Page) -> None:
    await begin_afresh(page)
    answer = await ask_and_wait(page, CODE)
    await answer.get_by_role("button", name="Copy the answer").click()
    await expect(answer.get_by_role("button", name="Copied")).to_be_visible()
    assert await page.evaluate("navigator.clipboard.readText()") == CODE


async def test_an_answer_and_its_code_go_into_the_notebooks_next_cell(
    desk: Desk, page: Page
) -> None:
    await begin_afresh(page)
    answer = await ask_and_wait(page, CODE)
    whole = answer.get_by_role("button", name="Insert the answer into the notebook")
    code = answer.get_by_role("button", name="Insert its code into the next cell")
    # Where no notebook is open it says so.
    await whole.click()
    toast = page.locator(".Toastify__toast").filter(has_text="Open a notebook")
    await expect(toast).to_be_visible()
    write_notebook(desk.folder / "next.ipynb", "first = 1", "last = 2")
    await open_document(page, "next.ipynb")
    cells = page.locator(".jp-Notebook .jp-Cell")
    await cells.first.locator(".cm-content").click()
    await code.click()
    await expect(cells).to_have_count(3)
    await expect(cells.nth(1)).to_have_class(re.compile("jp-CodeCell.*jp-mod-active"))
    await expect(cells.nth(1).locator(".cm-content")).to_have_text("bees = 6 * 7")
    await whole.click()
    await expect(cells).to_have_count(4)
    await expect(cells.nth(2)).to_have_class(re.compile("jp-MarkdownCell"))
    await expect(cells.nth(2).locator(".jp-MarkdownOutput pre")).to_contain_text("bees = 6 * 7")
    await expect(cells.nth(3).locator(".cm-content")).to_have_text("last = 2")


async def test_the_status_bar_tells_credits_the_place_in_the_queue_and_the_connection(
    desk: Desk, page: Page, ann: RealmClient
) -> None:
    await begin_afresh(page)
    await expect(status(page)).to_have_text(re.compile(r"^MTOR: (0|0\.\d+) credits spent$"))
    before = await status(page).inner_text()
    await ask_and_wait(page, "this has its price")
    await expect(status(page)).not_to_have_text(before)
    await choose(page, "ponderous")
    others = [await ann.submit(Query.ask("before me", "ponderous")) for _ in range(MANY)]
    await ask(page, "and then I")
    await expect(status(page)).to_have_text(
        re.compile(r"^MTOR: Waiting: (\d+ before you|you are next), .*about \d")
    )
    for one in others:
        await one.cancel()
    await desk.cable.cut()
    await expect(status(page)).to_have_text("MTOR: connecting again…")
    await expect(page.locator(".jp-mtor-connection")).to_have_text("Connecting again…")
    desk.cable.mend()
    await expect(answers(page).nth(1).locator("footer")).to_be_visible()
    await expect(status(page)).to_contain_text("credits spent")
    # It leads to the panel.
    await page.locator("[role=tab][data-id=mtor-realm-panel]").click()
    await expect(page.locator(".jp-mtor-tabs")).to_be_hidden()
    await status(page).click()
    await expect(page.locator(".jp-mtor-tabs")).to_be_visible()


async def test_what_a_notebooks_cell_spends_is_told_in_the_status_bar(
    desk: Desk, page: Page
) -> None:
    write_notebook(desk.folder / "spend.ipynb", "%mtor ask --model echo this has its price too")
    await open_another(page, "spend.ipynb")
    before = await status(page).inner_text()
    await ended(await run_cell(page, 0))
    await expect(status(page)).not_to_have_text(before)
    await expect(status(page)).to_have_text(re.compile(r"^MTOR: 0\.\d+ credits spent$"))


async def test_a_paragraph_runs_from_the_right_where_its_words_do(page: Page) -> None:
    await begin_afresh(page)
    answer = await ask_and_wait(page, "النحل يصنع **العسل**\n\nBees make honey.")
    starts = await answer.locator("p").evaluate_all(
        """all => all.map(one => {
          const words = document.createRange();
          words.selectNodeContents(one);
          const inked = words.getBoundingClientRect();
          return inked.left - one.getBoundingClientRect().left < 2 ? 'left' : 'right';
        })"""
    )
    assert starts == ["right", "left"]


async def test_a_connection_lost_in_mid_answer_is_mended_without_gap_or_repeat(
    desk: Desk, page: Page
) -> None:
    await begin_afresh(page, "slow")
    desk.cable.snaps = lambda frame: desk.cable.cuts < 3 and '"op":"chunk"' in frame
    words = " ".join(f"word{number}" for number in range(20))
    answer = await ask_and_wait(page, words)
    said = await answer.locator(".jp-mtor-markdown").inner_text()
    assert re.findall(r"word\d+", said) == words.split()
    assert desk.cable.cuts > 0


async def test_conversation_and_choice_of_model_survive_a_reload(
    page: Page, jupyter: tuple[str, Path]
) -> None:
    await begin_afresh(page)
    await ask_and_wait(page, "remember me")
    async with page.expect_response(
        lambda response: (
            "/api/workspaces/" in response.url
            and '"model":"forgetful"' in (response.request.post_data or "").replace("\\", "")
        )
    ):
        await choose(page, "forgetful")
    await page.goto(jupyter[0])
    await ready(page)
    await expect(turns(page).first).to_contain_text("remember me")
    await expect(page.get_by_label("Model", exact=True)).to_have_value("forgetful")
