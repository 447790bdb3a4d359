"""The sysop runs the place from the panel; what is done holds, and stands in the audit log."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, expect

from mtor_kernel.client import RealmClient
from mtor_kernel.protocol.errors import AdmissionPaused, QuotaExceeded, RealmError
from mtor_kernel.protocol.ngram import Cancelled, Chunk
from mtor_kernel.protocol.query import Query
from tests.browser.conftest import ANN, ANNS_TOKEN, Browsers
from tests.browser.panel import PATIENCE_MS, open_panel, open_tab
from tests.kernel.elsewhere import RealmElsewhere

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.asyncio(loop_scope="module"),
]

#: Far longer than anything here takes.
SECONDS = PATIENCE_MS / 1000

LATE = """
[[models]]
name = "latecomer"
modality = "chat"
backend = "echo"
rates = { query_micro = 7 }
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def page(browsers: Browsers, jupyter: tuple[str, Path]) -> Page:
    """One sysop's page for all."""
    return await open_panel(await browsers.start(), jupyter[0], "Sysop")


@pytest_asyncio.fixture(loop_scope="module")
async def ann(town: RealmElsewhere) -> AsyncIterator[RealmClient]:
    """Whom the sysop rules: known to the realm, since she has asked something."""
    async with town.small.client(ANNS_TOKEN) as client:
        await client.ask("hello", "echo")
        yield client


async def person(page: Page, name: str) -> Locator:
    """Return what the tab has of a person, read anew and opened."""
    await open_tab(page, "Talk")
    await open_tab(page, "Sysop")
    row = page.get_by_role("region", name="People").get_by_role("listitem")
    row = row.filter(has=page.locator(".jp-mtor-ellipsis").get_by_text(name, exact=True))
    await row.locator("summary").click()
    return row


async def said(page: Page, words: str) -> None:
    """Wait until the tab says what came of an act."""
    await expect(page.locator(".jp-mtor-said")).to_have_text(words)


async def audited(page: Page, act: str, reason: str = "") -> None:
    """The audit log says who did this, and why."""
    log = page.get_by_role("region", name="Audit log").get_by_role("listitem")
    entry = log.filter(has_text=f"owner {act}").first
    await expect(entry).to_contain_text(reason)


async def press(where: Page | Locator, name: str) -> None:
    await where.get_by_role("button", name=name, exact=True).click()


async def test_who_is_banned_is_refused_until_let_in_again(page: Page, ann: RealmClient) -> None:
    row = await person(page, ANN)
    await row.get_by_label("Reason").fill("a test of bans")
    await press(row, "Ban")
    await said(page, "ann is banned.")
    await expect(row.locator("summary")).to_contain_text("banned: a test of bans")
    await audited(page, "banned ann", "a test of bans")
    with pytest.raises(RealmError, match="a test of bans"):
        await ann.ask("let me in", "echo")
    await press(row, "Unban")
    await said(page, "ann is let in again.")
    await audited(page, "let ann in again")
    await expect(row.locator("summary")).not_to_contain_text("banned")


async def test_all_queries_of_somebody_are_stopped(page: Page, ann: RealmClient) -> None:
    running = [await ann.submit(Query.ask("one two three four", "endless")) for _ in range(2)]
    async with asyncio.timeout(SECONDS):
        async for event in running[0].events():
            if isinstance(event, Chunk):
                break
    row = await person(page, ANN)
    await row.get_by_label("Reason").fill("enough")
    await press(row, "Stop all queries")
    await said(page, "2 queries of ann are stopped.")
    for one in running:
        async with asyncio.timeout(SECONDS):
            ends = [event async for event in one.events()]
        assert isinstance(ends[-1], Cancelled)
    await audited(page, "stopped all queries of ann", "enough")


async def test_credits_are_granted(page: Page, ann: RealmClient) -> None:
    before = (await ann.me()).balance_micro
    row = await person(page, ANN)
    await row.get_by_label("Reason").fill("a course")
    await row.get_by_label("Credits to grant").fill("2.5")
    await press(row, "Grant")
    await said(page, "ann has 2.5 credits more.")
    await audited(page, "granted ann 2.50 credits", "a course")
    assert (await ann.me()).balance_micro == before + 2_500_000


async def test_a_persons_limit_holds_until_it_is_taken_back(page: Page, ann: RealmClient) -> None:
    row = await person(page, ANN)
    await row.get_by_label("Rule").select_option(label="Queries a minute")
    await row.get_by_label("Limit", exact=True).fill("0")
    await press(row, "Set")
    await said(page, "Queries a minute is ruled for ann.")
    await audited(page, "set limits for ann")
    with pytest.raises(QuotaExceeded):
        await ann.ask("too much", "echo")
    await press(row, "Take back")
    await said(page, "What was ruled for ann is taken back.")
    assert (await ann.ask("not too much", "echo")).text == "not too much"


async def test_a_worker_is_drained_and_takes_work_again(page: Page, ann: RealmClient) -> None:
    machines = page.get_by_role("region", name="Workers and models")
    await press(machines, "Drain")
    await said(page, "worker-0 takes nothing new.")
    await audited(page, "drained worker-0")
    await open_tab(page, "Workers")
    await expect(page.locator(".jp-mtor-state")).to_have_text("draining")
    waiting = await ann.submit(Query.ask("when it resumes", "echo"))
    await open_tab(page, "Sysop")
    await press(machines, "Resume")
    await said(page, "worker-0 takes work again.")
    await audited(page, "had worker-0 resume")
    async with asyncio.timeout(SECONDS):
        assert (await waiting.answer()).text == "when it resumes"


async def test_a_worker_is_removed_once_that_is_confirmed_and_may_resume(page: Page) -> None:
    worker = page.get_by_role("group", name="worker-0")
    dialog = page.get_by_role("dialog")
    await press(worker, "Remove")
    await press(dialog, "Cancel")
    await expect(dialog).to_have_count(0)
    await expect(worker.get_by_role("button", name="Drain")).to_be_visible()
    await press(worker, "Remove")
    await expect(dialog).to_contain_text("It finishes what it runs")
    await press(dialog, "Remove")
    await said(page, "worker-0 is sent away.")
    await expect(worker).to_contain_text("removed")
    await audited(page, "removed worker-0")
    await press(worker, "Resume")
    # It dials in again by itself.
    await expect(worker.get_by_role("button", name="Drain")).to_be_visible(timeout=PATIENCE_MS)
    await expect(worker.get_by_role("button", name="Unload").first).to_be_visible()


async def test_a_model_is_unloaded_and_loaded(page: Page, ann: RealmClient) -> None:
    machines = page.get_by_role("region", name="Workers and models")
    echo = machines.get_by_role("listitem").filter(
        has=page.locator(".jp-mtor-ellipsis").get_by_text("echo", exact=True)
    )
    await press(echo, "Unload")
    await said(page, "echo leaves memory.")
    await audited(page, "unloaded worker-0")
    await press(echo, "Load")
    await said(page, "echo is being loaded.")
    await audited(page, "loaded worker-0")
    await expect(echo.get_by_role("button", name="Unload")).to_be_visible()


async def test_a_catalogue_that_has_changed_is_read_anew(page: Page, town: RealmElsewhere) -> None:
    prices = page.get_by_role("region", name="Workers and models").get_by_role("row")
    await expect(prices.filter(has_text="latecomer")).to_have_count(0)
    path = Path(town.small.realm.catalogue_path)
    path.write_text(path.read_text() + LATE)
    await press(page, "Reload the catalogue")
    await said(page, "The catalogue is read.")
    await audited(page, "had the catalogue read anew")
    await expect(prices.filter(has_text="latecomer")).to_contain_text("0.000007 a query")
    path.write_text(path.read_text() + "\nnonsense")
    await press(page, "Reload the catalogue")
    await expect(page.locator(".jp-mtor-said.jp-mtor-trouble")).to_contain_text("line")
    path.write_text(path.read_text().removesuffix("\nnonsense"))
    await press(page, "Reload the catalogue")
    await said(page, "The catalogue is read.")


async def test_admission_is_paused_and_opened(page: Page, ann: RealmClient) -> None:
    await press(page, "Pause admission")
    await said(page, "Admission is paused.")
    await audited(page, "paused admission")
    with pytest.raises(AdmissionPaused):
        await ann.ask("is it open?", "echo")
    await press(page, "Open admission")
    await said(page, "Admission is open.")
    assert (await ann.ask("is it open?", "echo")).text == "is it open?"


async def test_a_notice_is_seen_in_another_tab(page: Page, jupyter: tuple[str, Path]) -> None:
    assert page.context.browser is not None
    other = await open_panel(page.context.browser, jupyter[0], "Queue")
    await page.get_by_label("A notice to everybody").fill("Lunch at noon")
    await press(page, "Tell")
    await said(page, "Everybody was told.")
    await audited(page, "told everybody")
    for one in (page, other):
        toast = one.locator(".Toastify__toast")
        await expect(toast.first).to_contain_text("Lunch at noon", timeout=PATIENCE_MS)


async def test_a_group_is_ruled_and_what_was_ruled_is_taken_back(page: Page) -> None:
    limits = page.get_by_role("region", name="Limits of use")
    await limits.get_by_label("For what kind").select_option("group")
    await limits.get_by_label("For whom").fill("physics")
    for rule, limit in (("credits_per_month_micro", "2.5"), ("running", "3")):
        await limits.get_by_label("Rule").select_option(rule)
        await limits.get_by_label("Limit", exact=True).fill(limit)
        await press(limits, "Set")
        await expect(limits.get_by_role("listitem").filter(has_text=f": {limit}")).to_be_visible()
    ruled = limits.get_by_role("listitem").filter(has_text="physics")
    await expect(ruled).to_contain_text("Credits a month: 2.5 · Running at once: 3")
    await press(limits, "Take back")
    await expect(ruled).to_have_count(0)
