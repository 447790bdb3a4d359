"""The box to ask in, and the drawing: what a browser is told, with a real realm behind."""

import json
from typing import Any

import pytest

from mtor_kernel.client import Realm, Reply
from mtor_kernel.protocol.errors import BadInput
from mtor_kernel.widgets import Ask, Drawing
from tests.led import LedBackend
from tests.widgets.browser_double import Browser

pytestmark = pytest.mark.slow


def over(message: dict[str, Any]) -> bool:
    return message["busy"] is False


def test_a_question_is_answered_piece_by_piece_with_its_cost(realm: Realm) -> None:
    ask = Ask("led", realm=realm)
    browser = Browser(ask)
    LedBackend.hush()
    words = ["one", "two", "three", "four", "five", "six", "seven", "eight"]
    browser.say(kind="ask", prompt=" ".join(words))
    for word in words:
        LedBackend.let()
        browser.await_("answer", lambda one, word=word: word in one["html"])
    last = browser.await_("answer", over)
    grown = [one["html"] for one, _ in browser.said if one["kind"] == "answer"]
    assert len(set(grown)) > 2
    assert "eight" in last["html"]
    assert "credits" in last["note"]
    assert ask.reply is not None
    assert ask.reply.text.startswith("one two three four five six seven eight")


def test_what_a_model_says_is_made_safe_before_it_leaves_the_kernel(realm: Realm) -> None:
    browser = Browser(Ask(realm=realm))
    prompt = "<img src=x onerror=alert(1)> ![a](https://x.invalid/b) <script>x</script> **yes**"
    browser.say(kind="ask", prompt=prompt)
    html = browser.await_("answer", over)["html"]
    assert "<strong>yes</strong>" in html
    assert "<img" not in html
    assert "<script" not in html


def test_stop_cancels_in_the_realm(realm: Realm) -> None:
    ask = Ask("endless", realm=realm)
    browser = Browser(ask)
    browser.say(kind="ask", prompt="one two three four five")
    browser.await_("answer", lambda one: "three" in one["html"])
    browser.say(kind="stop")
    last = browser.await_("answer", over)
    assert "cancelled" in last["note"]
    assert ask.wait(60)
    assert realm.queries(limit=1)[0].stage == "cancelled"
    assert not browser.latest("trouble") or not browser.latest("trouble")["words"]  # type: ignore[index]


def test_a_failure_is_told_in_the_words_of_the_realm(realm: Realm) -> None:
    browser = Browser(Ask("no-such-model", realm=realm))
    browser.say(kind="ask", prompt="hello")
    assert "no-such-model" in browser.await_("trouble", lambda one: bool(one["words"]))["words"]
    assert not browser.await_("answer", over)["html"]


def test_a_second_question_waits_for_its_person_to_stop_the_first(realm: Realm) -> None:
    ask = Ask("endless", realm=realm)
    browser = Browser(ask)
    browser.say(kind="ask", prompt="one two three four")
    browser.say(kind="ask", prompt="me too")
    words = browser.await_("trouble", lambda one: bool(one["words"]))["words"]
    assert words.startswith("One at a time")
    ask.cancel()
    assert ask.wait(60)


def test_no_words_are_no_question(realm: Realm) -> None:
    with pytest.raises(BadInput, match="no words"):
        Ask(realm=realm).ask("  ")


def test_who_follows_hears_the_reply(realm: Realm) -> None:
    ask = Ask(realm=realm)
    heard: list[Reply] = []
    ask.on_reply(heard.append)
    ask.ask("hello")
    assert ask.wait(60)
    assert [reply.text for reply in heard] == ["hello"]


def test_a_later_view_is_told_the_answer_and_the_state_holds_none_of_it(realm: Realm) -> None:
    ask = Ask(realm=realm)
    ask.ask("remember me")
    assert ask.wait(60)
    assert "remember me" not in json.dumps(ask.get_state())
    assert "remember me" in Browser(ask).await_("answer")["html"]


def test_a_drawing_sharpens_and_its_picture_is_told_as_bytes(realm: Realm) -> None:
    drawing = Drawing("painting", realm=realm, steps=8)
    browser = Browser(drawing)
    drawing.draw("a red heart")
    assert browser.await_("drawing", lambda one: one["fraction"] is not None)["busy"]
    browser.await_("drawing", over)
    kinds = [(one["kind"], bool(buffers)) for one, buffers in browser.said]
    assert ("preview", True) in kinds
    assert ("picture", True) in kinds
    assert drawing.picture is not None
    sent = next(buffers for one, buffers in browser.said if one["kind"] == "picture")
    assert sent == [drawing.picture.content]
    again = [one["kind"] for one, _ in Browser(drawing).said]
    assert "picture" in again
    assert "preview" not in again


def test_a_stopped_drawing_leaves_no_picture(realm: Realm) -> None:
    drawing = Drawing("painting", realm=realm)
    browser = Browser(drawing)
    drawing.draw("a red heart")
    browser.await_("preview")
    browser.say(kind="stop")
    browser.await_("drawing", over)
    assert drawing.wait(60)
    assert drawing.picture is None
    assert realm.queries(limit=1)[0].stage == "cancelled"
