"""Where an answer appears."""

import io
from typing import Any

from msgspec.structs import replace

from mtor_kernel.client import Reply
from mtor_kernel.magics.bundle import (
    ANSWER_MIME,
    bundle,
    picture_bundle,
    player_bundle,
    reply_bundle,
)
from mtor_kernel.magics.display import MOST_UPDATES, CellDisplay, Tail, TerminalDisplay
from mtor_kernel.protocol.account import Charge, Usage
from mtor_kernel.protocol.ngram import Chunk, Progress, Requeued
from mtor_kernel.protocol.query import RowAnswer, Rows, Text
from mtor_kernel.telling.story import Story, units_of
from tests.modalities import picture, sound

Q = "0" * 32
REPLY = Reply(
    text="**Honey**",
    parts=(Text("**Honey**"),),
    model="smollm2",
    charge=Charge(1234, Usage(input_tokens=4, output_tokens=20)),
    finish_reason="stop",
    seconds=3.2,
    running_seconds=3.1,
    query=Q,
    attempts=1,
)


class Screen:
    """A front end that keeps what was shown, and a clock to be moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0
        self.shown: list[tuple[dict[str, Any], str, bool]] = []

    def clock(self) -> float:
        return self.now

    def publish(
        self, data: dict[str, Any], metadata: dict[str, Any], display_id: str, update: bool
    ) -> None:
        self.shown.append((data, display_id, update))
        self.metadata = metadata


def display_on(screen: Screen) -> CellDisplay:
    return CellDisplay(screen.publish, screen.clock)


def say(story: Story, words: str) -> Story:
    seq = len(story.text)
    story.hear(Chunk(Q, 1, seq, seq + len(words), words))
    return story


def test_every_update_has_the_same_id_and_carries_everything() -> None:
    screen, story = Screen(), Story()
    display = display_on(screen)
    for word in ("What ", "do ", "bees ", "make?"):
        display.show(say(story, word))
        screen.now += 1
    display.finish(reply_bundle(REPLY))
    assert {shown[1] for shown in screen.shown} == {display.id}
    assert [shown[2] for shown in screen.shown] == [False, True, True, True, True]
    assert screen.shown[3][0]["text/plain"].startswith("What do bees make?")


def test_updates_are_coalesced_and_none_is_lost() -> None:
    screen, story = Screen(), Story()
    display = display_on(screen)
    for _ in range(300):
        display.show(say(story, "x"))
        screen.now += 0.01
    assert len(screen.shown) <= 3 * MOST_UPDATES + 1
    due = display.due_seconds()
    assert due is not None
    screen.now += due
    display.show(story)
    assert screen.shown[-1][0]["text/plain"].startswith("x" * 300)
    assert display.due_seconds() is None


def test_a_long_text_is_sent_less_often() -> None:
    screen = Screen()
    display = display_on(screen)
    story = say(Story(), "word " * 50_000)
    for _ in range(100):
        display.show(story)
        screen.now += 0.1
    sent = sum(len(part) for data, *_ in screen.shown for part in data.values())
    assert sent / 10 < 400_000


def test_the_last_word_is_shown_at_once() -> None:
    screen = Screen()
    display = display_on(screen)
    display.show(say(Story(), "x"))
    display.finish(reply_bundle(REPLY))
    assert screen.shown[-1][0]["text/plain"].startswith("**Honey**")


def drawn(story: Story, preview: bytes) -> Story:
    story.hear(Progress(Q, 1, 0.5, "step 4 of 8", preview))
    return story


def test_a_picture_takes_the_place_of_the_first_output_and_the_words_go_on_below() -> None:
    screen, story = Screen(), Story()
    display = display_on(screen)
    display.show(story)
    first = display.id
    for shade in ("red", "green"):
        screen.now += 1
        display.show(drawn(story, picture(colour=shade)))
    display.reveal(*picture_bundle(picture(), "a picture"))
    display.finish(reply_bundle(REPLY))
    seen = [(name, update, "image/png" in data) for data, name, update in screen.shown]
    below = display.id
    assert seen == [
        (first, False, False),
        (first, True, True),
        (below, False, False),
        (first, True, True),
        (below, True, False),
        (first, True, True),
        (below, True, False),
    ]
    assert screen.shown[2][0]["text/plain"] == "50% step 4 of 8"


def test_a_preview_is_shown_once() -> None:
    screen, story = Screen(), Story()
    display = display_on(screen)
    for _ in range(5):
        screen.now += 1
        display.show(drawn(story, picture()))
    assert len(screen.shown) == 2


def test_a_picture_that_is_not_finished_leaves_no_preview() -> None:
    screen, story = Screen(), Story()
    display = display_on(screen)
    display.show(drawn(story, picture()))
    display.finish(bundle("", "cancelled"))
    last = {name: data for data, name, _ in screen.shown}
    assert [data["text/plain"] for data in last.values()] == [
        "The picture was not finished.",
        "cancelled",
    ]
    assert not any("image/png" in data for data in last.values())


def test_a_new_attempt_forgets_the_picture_of_the_old_one() -> None:
    story = drawn(Story(), picture())
    story.hear(Requeued(Q, 2))
    assert story.preview == b""


def test_what_is_no_picture_is_never_shown_as_one() -> None:
    for content in (b"", b"<svg onload='alert(1)'/>", sound(0.1)):
        data, metadata = picture_bundle(content, "a **picture**")
        assert (data, metadata) == ({"text/plain": "a **picture**"}, {})
    assert "text/html" not in player_bundle(picture(), "a sound")[0]


def test_a_small_picture_is_shown_larger_and_a_large_one_as_it_is() -> None:
    assert picture_bundle(picture(size=(32, 64)), "")[1] == {
        "image/png": {"width": 160, "height": 320}
    }
    assert picture_bundle(picture(size=(400, 300)), "")[1] == {}


def test_the_line_tells_the_units_of_each_modality() -> None:
    assert units_of(Usage(images=1, pixel_steps=10**6)) == ["1 picture"]
    assert units_of(Usage(characters=5, audio_ms=3200)) == ["5 characters", "3.2 s of sound"]
    assert units_of(Usage(input_tokens=4, output_tokens=20)) == ["24 tokens"]
    assert units_of(Usage()) == []
    assert units_of(Usage(output_tokens=20, rows=3)) == ["3 rows", "20 tokens"]


def test_plain_text_comes_first_and_html_is_safe() -> None:
    made = bundle("<script>alert(1)</script>", "a <b> line")
    assert list(made) == ["text/plain", "text/html"]
    assert "<script>" not in made["text/html"]
    assert "<b>" not in made["text/html"]


def test_an_answer_ends_with_one_quiet_line_and_its_figures() -> None:
    made = reply_bundle(REPLY)
    line = "smollm2 · 24 tokens · 3.2 s · 0.00123 credits"
    assert made["text/plain"] == f"**Honey**\n\n{line}"
    assert made["text/html"].endswith(f"{line}</div></div>")
    assert "<strong>Honey</strong>" in made["text/html"]
    assert made[ANSWER_MIME] == {
        "model": "smollm2",
        "text": "**Honey**",
        "usage": {"input_tokens": 4, "output_tokens": 20},
        "charge": {"amount_micro": 1234},
        "seconds": 3.2,
        "query": Q,
        "sources": [],
    }


def test_rows_of_a_table_are_shown_as_a_list_of_the_first_of_them() -> None:
    rows = Rows(tuple(RowAnswer(at, (Text("<b>yes</b>"),)) for at in range(30)))
    usage = Usage(output_tokens=30, rows=30)
    parts = {"parts": (rows,), "text": rows.text, "charge": Charge(5, usage)}
    made = reply_bundle(replace(REPLY, finish_reason="time", **parts))
    assert made["text/plain"].startswith("1. <b>yes</b>\n2. ")
    line = "… and 10 more rows\n\nsmollm2 · 30 rows · 30 tokens · 3.2 s · 0.000005 credits"
    assert f"20. <b>yes</b>\n\n{line}" in made["text/plain"]
    assert made["text/plain"].endswith("no time for the rest of its rows")
    assert made["text/html"].count("<li>") == 20
    assert "<b>" not in made["text/html"]
    assert made[ANSWER_MIME]["text"].endswith("… and 10 more rows")


def test_a_terminal_gets_each_word_once() -> None:
    out, story = io.StringIO(), Story()
    display = TerminalDisplay(out)
    display.show(story)
    for word in ("**Ho", "ney**"):
        display.show(say(story, word))
    display.finish(reply_bundle(REPLY))
    assert out.getvalue() == "**Honey**\n\nsmollm2 · 24 tokens · 3.2 s · 0.00123 credits\n"


def test_a_text_that_changed_is_printed_anew() -> None:
    out = io.StringIO()
    tail = Tail(out)
    for text in ("waiting", "", "Bees", "Bees make"):
        tail.show(text)
    tail.end()
    assert out.getvalue() == "waiting\nBees make\n"


def test_a_terminal_says_how_to_get_at_what_it_cannot_show() -> None:
    out = io.StringIO()
    TerminalDisplay(out).reveal(*picture_bundle(picture(), "a picture: a heart"))
    assert out.getvalue().startswith("a picture: a heart\n(not to be had in a terminal: --as NAME")
    out = io.StringIO()
    TerminalDisplay(out).reveal(*picture_bundle(b"what nobody shows", "a picture"))
    assert out.getvalue() == "a picture\n"
