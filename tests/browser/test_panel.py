"""The panel, in a real browser, before a real lab, with the real built-in models."""

import re
from pathlib import Path

import pytest
from playwright.async_api import Page, WebSocketRoute, expect

from tests.browser.conftest import PATIENCE_MS, WORD, Browsers, devices, open_panel
from tests.browser.labserver import AXE

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.asyncio]

TABS = ("Talk", "Look", "Imagine", "Queue", "Workers", "Credits", "Sysop")


async def ask(page: Page, question: str) -> None:
    await page.get_by_label("Your question").fill(question)
    await page.get_by_label("Your question").press("Enter")


async def test_a_question_is_answered_and_its_cost_is_shown(browsers: Browsers, lab: str) -> None:
    page = await open_panel(await browsers.start(), lab)
    await ask(page, "What do bees make?")
    answer = page.locator(".jp-mtor-turn.jp-mtor-assistant").last
    await expect(answer.locator("footer")).to_contain_text(re.compile(r"smollm2 · .* credits"))
    assert len(await answer.inner_text()) > 20


async def test_a_conversation_survives_a_reload(browsers: Browsers, lab: str) -> None:
    page = await open_panel(await browsers.start(), lab)
    await page.get_by_label("Model", exact=True).select_option("echo")
    await ask(page, "remember me")
    await expect(page.locator(".jp-mtor-turn.jp-mtor-assistant footer")).to_be_visible()
    await page.wait_for_timeout(1000)  # the lab saves its state a little later
    await page.goto(lab)
    await expect(page.locator(".jp-mtor-turn.jp-mtor-user").last).to_contain_text("remember me")


async def test_what_is_said_is_written_down_answered_and_spoken(
    browsers: Browsers, lab: str, media: Path
) -> None:
    page = await open_panel(await browsers.start(*devices(media)), lab)
    await page.get_by_label("Read answers out").check()
    button = page.get_by_role("button", name="Hold to speak")
    await button.hover()
    await page.mouse.down()
    await expect(page.get_by_text("let go when you have spoken")).to_be_visible()
    await page.wait_for_timeout(4500)  # the recording is as long as it takes to say it
    await page.mouse.up()
    prompt = page.get_by_label("Your question")
    await expect(prompt).to_have_value(re.compile("capital of France", re.IGNORECASE))
    await expect(page.get_by_label("The microphone is on")).to_be_hidden()
    await prompt.press("Enter")
    await expect(page.locator(".jp-mtor-turn.jp-mtor-user").last).to_contain_text("France")
    await page.wait_for_function("window.loudness > 0.05", timeout=PATIENCE_MS)


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


async def test_what_the_camera_sees_is_read(browsers: Browsers, lab: str, media: Path) -> None:
    page = await open_panel(await browsers.start(*devices(media)), lab, "Look")
    await page.get_by_role("button", name="Use the camera").click()
    await page.get_by_role("button", name="Take the picture").click()
    await page.get_by_label("What do you want to know?").fill("What does it say?")
    await page.get_by_role("button", name="Ask", exact=True).click()
    await expect(page.locator(".jp-mtor-look [role=status]")).to_contain_text(WORD)


@pytest.mark.parametrize(
    ("tab", "button", "words"),
    [("Talk", "Hold to speak", "microphone"), ("Look", "Use the camera", "camera")],
)
async def test_a_denied_device_is_told_in_a_sentence(
    browsers: Browsers, lab: str, tab: str, button: str, words: str
) -> None:
    denied = "--use-fake-ui-for-media-stream=deny", "--use-fake-device-for-media-stream"
    page = await open_panel(await browsers.start(*denied), lab, tab)
    await page.get_by_role("button", name=button).press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text(words)
    await expect(page.get_by_role("alert")).to_contain_text("Allow it")


async def test_two_tabs_work_side_by_side(browsers: Browsers, lab: str) -> None:
    browser = await browsers.start()
    first, second = await open_panel(browser, lab), await open_panel(browser, lab)
    for page, words in ((first, "from the first"), (second, "from the second")):
        await page.get_by_label("Model", exact=True).select_option("echo")
        await ask(page, words)
    for page, words in ((first, "from the first"), (second, "from the second")):
        answer = page.locator(".jp-mtor-turn.jp-mtor-assistant").last
        await expect(answer).to_contain_text(words)
        await expect(answer.locator("footer")).to_be_visible()


async def test_a_connection_lost_in_mid_answer_is_mended_without_gap_or_repeat(
    browsers: Browsers, lab: str
) -> None:
    browser = await browsers.start()
    page = await browser.new_page(viewport={"width": 1280, "height": 800})
    lost = 0

    def carry(route: WebSocketRoute) -> None:
        nonlocal lost
        realm = route.connect_to_server()

        async def pass_on(frame: str | bytes) -> None:
            nonlocal lost
            route.send(frame)
            if lost < 3 and '"op":"chunk"' in str(frame):
                lost += 1
                await route.close(code=1011)

        realm.on_message(pass_on)

    await page.route_web_socket(re.compile("/mtor/ngram"), carry)
    await page.goto(lab + "&reset")
    await page.wait_for_selector("#jupyterlab-splash", state="detached", timeout=PATIENCE_MS)
    await page.locator("[role=tab][data-id=mtor-realm-panel]").click()
    await page.get_by_label("Model", exact=True).select_option("echo")
    words = " ".join(f"word{number}" for number in range(400))
    await ask(page, words)
    answer = page.locator(".jp-mtor-turn.jp-mtor-assistant").last
    await expect(answer.locator("footer")).to_be_visible()
    said = await answer.locator(".jp-mtor-markdown").inner_text()
    assert re.findall(r"word\d+", said) == words.split()
    assert lost > 0


async def submit(page: Page, lab: str, prompt: str) -> None:
    """Ask as a notebook or a program does, past the panel."""
    root, token = lab.split("/lab?token=")
    query = {"model": "smollm2", "options": {"max_tokens": 1000}}
    query["messages"] = [{"role": "user", "parts": [{"type": "text", "text": prompt}]}]
    answer = await page.request.post(
        f"{root}/mtor/api/queries",
        headers={"Authorization": f"token {token}"},
        data={"query": query, "key": prompt.replace(" ", "-")},
    )
    assert answer.status == 202, await answer.text()


async def test_a_query_asked_elsewhere_is_seen_and_can_be_cancelled(
    browsers: Browsers, lab: str
) -> None:
    page = await open_panel(await browsers.start(), lab, "Queue")
    prompts = ["Write a long story of a bee", "Write a long story of an ant"]
    for prompt in prompts:
        await submit(page, lab, prompt)
    for prompt in prompts:
        row = page.get_by_role("listitem").filter(has_text=prompt)
        await row.get_by_role("button", name="Cancel this query").click()
        await expect(row).to_have_count(0)


async def test_a_notice_of_the_sysop_is_shown(browsers: Browsers, lab: str) -> None:
    page = await open_panel(await browsers.start(), lab, "Sysop")
    await page.get_by_label("A notice to everybody").fill("Lunch at noon")
    await page.get_by_role("button", name="Tell").click()
    await expect(page.locator(".Toastify__toast")).to_contain_text("Lunch at noon")


@pytest.mark.parametrize("theme", ["Light", "Dark"])
async def test_axe_finds_no_violation(browsers: Browsers, lab: str, theme: str) -> None:
    if not AXE.exists():
        pytest.skip("axe-core is not installed: run `jlpm install` in labextension")
    page = await open_panel(await browsers.start(), lab)
    await page.evaluate(
        "theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})",
        f"JupyterLab {theme}",
    )
    light = "true" if theme == "Light" else "false"
    await page.wait_for_selector(f"body[data-jp-theme-light='{light}']", state="attached")
    await page.add_script_tag(path=AXE)
    for tab in TABS:
        await page.get_by_role("tab", name=tab, exact=True).click()
        await expect(page.locator(".jp-mtor-page")).to_be_visible()
        found = await page.evaluate("axe.run('.jp-mtor-panel')")
        shown = [
            (one["id"], [node["html"] for node in one["nodes"]]) for one in found["violations"]
        ]
        assert shown == [], tab
