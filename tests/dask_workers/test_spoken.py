"""A text in sentences: what ends one, and what is cut because nothing does."""

from __future__ import annotations

import io
import wave

import pytest

from dask_workers.spoken import MOST_CHARACTERS, sentences, speak, text_to_say, wav
from mtor_kernel.protocol.backend import Delta
from mtor_kernel.protocol.errors import BadInput, TooLarge
from mtor_kernel.protocol.query import Image, Message, Query, Text
from tests.dask_workers.desk import Desk


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ("Hello", ["Hello"]),
        ("One. Two! Three? Four… five", ["One.", "Two!", "Three?", "Four…", "five"]),
        ('He said "No." She left.', ['He said "No."', "She left."]),
        ("Dr. Smith met J. Kirk at No. 5. They talked.", None),
        ("It costs 3.50, e.g. in town. Cheap.", ["It costs 3.50, e.g. in town.", "Cheap."]),
        ("A title\n\nand its text\nin lines", ["A title", "and its text", "in lines"]),
    ],
)
def test_a_text_is_cut_where_its_sentences_end(text: str, found: list[str] | None) -> None:
    if found is None:
        found = ["Dr. Smith met J. Kirk at No. 5.", "They talked."]
    assert list(sentences(text)) == found


def test_a_sentence_without_end_is_cut_at_its_pauses() -> None:
    giant = "and then, after a while, they went on " * 100
    pieces = list(sentences(giant))
    assert max(len(piece) for piece in pieces) <= MOST_CHARACTERS
    assert all(piece.endswith(",") for piece in pieces[:-1])
    assert " ".join(pieces) == giant.strip()


def test_a_word_without_end_is_cut_anyway() -> None:
    pieces = list(sentences("a" * 1000))
    assert "".join(pieces) == "a" * 1000
    assert max(len(piece) for piece in pieces) == MOST_CHARACTERS


def test_a_text_that_is_too_long_is_refused_with_its_figures() -> None:
    with pytest.raises(TooLarge, match="11 characters and this voice says at most 10") as refused:
        text_to_say(Query.ask("Hello world"), 10)
    assert refused.value.details == {"limit": 10, "used": 11}


def test_a_picture_cannot_be_said() -> None:
    with pytest.raises(BadInput, match="words only"):
        text_to_say(Query((Message("user", (Text("a"), Image("a" * 64))),)), 10)


def test_a_wav_is_whole_and_says_its_own_length() -> None:
    with wave.open(io.BytesIO(wav(b"\1\0" * 480, 24_000))) as sound:
        assert sound.getparams()[:4] == (1, 2, 24_000, 480)


def test_what_has_no_sound_is_an_error_and_not_silence() -> None:
    with pytest.raises(BadInput, match="nothing in it"):
        list(speak("☃ ☃", Desk(), lambda piece: b"", 24_000))


def test_after_a_cancel_nothing_more_is_said() -> None:
    desk, asked = Desk(), []

    def say(piece: str) -> bytes:
        asked.append(piece)
        return b"\0\0"

    stream = speak("One. Two. Three.", desk, say, 24_000)
    assert isinstance(next(stream), Delta)
    desk.cancel()
    assert list(stream) == []
    assert asked == ["One."]
