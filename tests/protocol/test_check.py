"""What each modality takes, needs and refuses."""

from __future__ import annotations

from typing import Any

import pytest

from mtor_kernel.protocol.account import RateCard
from mtor_kernel.protocol.backend import ModelSpec
from mtor_kernel.protocol.check import check_query
from mtor_kernel.protocol.errors import BadInput, UnknownOption
from mtor_kernel.protocol.query import (
    OPTIONS_OF,
    Audio,
    Data,
    Image,
    Message,
    Modality,
    Options,
    Part,
    Query,
    Text,
)

WORDS, PICTURE, SOUND, DATA = Text("hello"), Image("a" * 64), Audio("b" * 64), Data({"x": 1})
BLANK = Text(" \n")
#: Questions that a modality takes, and some that it does not, with words of the refusal.
TAKEN: dict[Modality, list[tuple[Part, ...]]] = {
    Modality.CHAT: [(WORDS,), (WORDS, BLANK)],
    Modality.VISION: [(WORDS, PICTURE), (PICTURE,), (PICTURE, PICTURE, WORDS), (WORDS,)],
    Modality.IMAGE: [(WORDS,), (WORDS, PICTURE), (PICTURE, WORDS)],
    Modality.TRANSCRIPTION: [(SOUND,), (BLANK, SOUND)],
    Modality.SPEECH: [(WORDS,)],
    Modality.EMBEDDING: [(WORDS,), (WORDS,) * 256],
    Modality.API: [(BLANK,), (WORDS,)],
}
REFUSED: dict[Modality, list[tuple[tuple[Part, ...], str]]] = {
    Modality.CHAT: [
        ((BLANK,), "empty"),
        ((WORDS, PICTURE), r"takes no picture: ask eyes, which does"),
        ((WORDS, SOUND), r"takes no recording: ask ears, which does"),
        ((WORDS, DATA), r"takes no data part"),
    ],
    Modality.VISION: [((BLANK,), "empty"), ((PICTURE, SOUND), "takes no recording: ask ears")],
    Modality.IMAGE: [
        ((PICTURE,), "empty"),
        ((WORDS, PICTURE, PICTURE), "one picture at most, not 2"),
        ((WORDS, SOUND), "no recording"),
    ],
    Modality.TRANSCRIPTION: [
        ((WORDS,), "one recording at a time, not 0"),
        ((SOUND, SOUND), "one recording at a time, not 2"),
        ((SOUND, WORDS), "no words"),
        ((SOUND, PICTURE), "no picture"),
    ],
    Modality.SPEECH: [((BLANK,), "empty"), ((WORDS, SOUND), "no recording")],
    Modality.EMBEDDING: [((WORDS, BLANK), "Text 2 of 2 is empty"), ((PICTURE,), "no picture")],
    Modality.API: [((PICTURE,), "no picture")],
}
NAMES = {Modality.VISION: "eyes", Modality.TRANSCRIPTION: "ears", Modality.CHAT: "mouth"}


def model(modality: Modality, **fields: Any) -> ModelSpec:
    return ModelSpec("small", modality, "echo", RateCard(free=True), **fields)


def ask(*parts: Part, options: Options | None = None) -> Query:
    return Query((Message("user", parts),), options=options or Options())


def name_of(modality: Modality) -> str:
    return NAMES.get(modality, "")


@pytest.mark.parametrize(
    ("modality", "parts"), [(modality, parts) for modality in TAKEN for parts in TAKEN[modality]]
)
def test_what_a_modality_takes(modality: Modality, parts: tuple[Part, ...]) -> None:
    check_query(ask(*parts), model(modality))


@pytest.mark.parametrize(
    ("modality", "parts", "told"),
    [(modality, *case) for modality in REFUSED for case in REFUSED[modality]],
)
def test_what_a_modality_refuses(modality: Modality, parts: tuple[Part, ...], told: str) -> None:
    with pytest.raises(BadInput, match=told):
        check_query(ask(*parts), model(modality), name_of)


def test_a_realm_that_sees_nothing_says_so() -> None:
    with pytest.raises(BadInput, match="leave it out, or ask the sysop"):
        check_query(ask(WORDS, PICTURE), model(Modality.CHAT))


def test_a_model_that_only_looks_needs_a_picture_somewhere() -> None:
    sight = model(Modality.VISION, needs_image=True)
    with pytest.raises(BadInput, match=r"only looks at pictures.*or ask mouth"):
        check_query(ask(WORDS), sight, name_of)
    before = Message("user", (PICTURE, WORDS)), Message("assistant", (WORDS, DATA))
    check_query(Query((*before, Message("user", (WORDS,)))), sight)


@pytest.mark.parametrize("modality", Modality)
def test_a_conversation_is_for_those_that_talk(modality: Modality) -> None:
    query = Query((Message("system", (WORDS,)), Message("user", TAKEN[modality][0])))
    if modality in (Modality.CHAT, Modality.VISION):
        check_query(query, model(modality))
    else:
        with pytest.raises(BadInput, match="no conversation"):
            check_query(query, model(modality))


def test_a_picture_earlier_in_a_conversation_is_one_too() -> None:
    query = Query((Message("user", (PICTURE,)), Message("user", (WORDS,))))
    with pytest.raises(BadInput, match="takes no picture"):
        check_query(query, model(Modality.CHAT))


def test_the_question_comes_last() -> None:
    query = Query((Message("user", (WORDS,)), Message("assistant", (WORDS,))))
    with pytest.raises(BadInput, match="last message must be the user's"):
        check_query(query, model(Modality.CHAT))


@pytest.mark.parametrize(
    "part", [Image("a" * 64, "audio/wav"), Audio("b" * 64, "image/png"), Audio("b" * 64, "text/a")]
)
def test_a_part_is_what_it_says(part: Part) -> None:
    modality = Modality.VISION if isinstance(part, Image) else Modality.TRANSCRIPTION
    with pytest.raises(BadInput, match="say what it is"):
        check_query(ask(part), model(modality))


@pytest.mark.parametrize("mime", ["audio/wav", "audio/webm", "video/webm", "application/ogg"])
def test_a_recording_may_come_as_browsers_make_it(mime: str) -> None:
    check_query(ask(Audio("b" * 64, mime)), model(Modality.TRANSCRIPTION))


def test_what_no_store_keeps_is_refused() -> None:
    with pytest.raises(BadInput, match="NUL"):
        check_query(ask(Text("nul \0 inside")), model(Modality.CHAT))


@pytest.mark.parametrize("modality", Modality)
def test_an_option_of_another_modality_is_refused_by_name(modality: Modality) -> None:
    given = {"temperature": 1.0, "steps": 4, "voice": "ann", "parameters": {"city": "Basel"}}
    for name, value in given.items():
        query = ask(*TAKEN[modality][0], options=Options(**{name: value}))  # type: ignore[arg-type]
        if name in OPTIONS_OF[modality]:
            check_query(query, model(modality))
        else:
            with pytest.raises(UnknownOption, match=f"takes no option '{name}'"):
                check_query(query, model(modality))
