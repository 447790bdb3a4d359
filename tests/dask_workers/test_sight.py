"""The built-in sight says what is true of a picture, in words and as data."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from dask_workers.backends.sight import SightBackend
from mtor_kernel.protocol.backend import Delta
from mtor_kernel.protocol.errors import BadInput, NotFound, UnknownOption
from mtor_kernel.protocol.query import Image, Message, Options, Part, Query, Text
from tests.dask_workers.desk import Desk, Said, ask, blob_id
from tests.dask_workers.samples import SIGHT
from tests.pictures import CARD, card, encoded, photograph

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def backend() -> Iterator[SightBackend]:
    backend = SightBackend(SIGHT)
    backend.load()
    yield backend
    backend.unload()


def query(prompt: str, *pictures: bytes, **options: object) -> Query:
    parts: list[Part] = [Image(blob_id(content)) for content in pictures]
    parts += [Text(prompt)] if prompt else []
    return Query((Message("user", tuple(parts)),), "sight", msgspec.convert(options, Options))


def see(backend: SightBackend, prompt: str, *pictures: bytes, **options: object) -> Said:
    return ask(backend, query(prompt, *pictures, **options), Desk(*pictures))


def test_a_card_is_read_line_by_line(backend: SightBackend) -> None:
    said = see(backend, "What does it say?", encoded(card()))
    assert said.text == "It says:\n\n" + "  \n".join(f"“{line}”" for line in CARD)
    assert len([one for one in said.pieces if isinstance(one, Delta) and one.text]) == len(CARD)
    (data,) = said.data
    assert [line["text"] for line in data.value["text"]] == list(CARD)


def test_a_photograph_is_described_before_it_is_read(backend: SightBackend) -> None:
    said = see(backend, "", photograph("cat"))
    assert said.text.startswith("There is a cat on the picture. It may be a")
    assert said.text.endswith("\n\nNo writing was found on it.")
    (data,) = said.data
    assert data.value["size"] == [400, 266]
    assert data.value["objects"][0]["label"] == "cat"
    assert {"size", "text", "objects", "labels", "colours"} == set(data.value)
    assert msgspec.json.decode(msgspec.json.encode(data.value)) == data.value


def test_a_question_is_answered_and_the_data_stay_whole(backend: SightBackend) -> None:
    assert see(backend, "How many people are there?", photograph("camera")).text == (
        "One person was found."
    )
    assert see(backend, "Is there a dog?", photograph("cat")).text.startswith("No dog was found.")
    said = see(backend, "Is there a person?", encoded(card()))
    assert said.text.startswith("No person was found.")
    assert len(said.data[0].value["text"]) == len(CARD)


def test_several_pictures_are_told_one_after_the_other(backend: SightBackend) -> None:
    said = see(backend, "", photograph("cat"), encoded(card()))
    first, second = said.text.split("\n\nPicture 2 of 2: ")
    assert first.startswith("Picture 1 of 2: There is a cat")
    assert CARD[0] in second
    (data,) = said.data
    assert [one["size"] for one in data.value] == [[400, 266], [640, 400]]


def test_a_later_question_is_about_the_last_pictures(backend: SightBackend) -> None:
    cat, drawn = photograph("cat"), encoded(card())
    conversation = (
        *query("What is this?", cat).messages,
        Message("assistant", (Text("There is a cat on the picture."),)),
        *query("And this?", drawn).messages,
        Message("assistant", (Text("It says things."),)),
        Message("user", (Text("Read it."),)),
    )
    said = ask(backend, Query(conversation, "sight"), Desk(cat, drawn))
    assert CARD[0] in said.text
    assert len(said.data) == 1


def test_the_usage_is_counted_in_words_and_marked_as_an_estimate(backend: SightBackend) -> None:
    said = see(backend, "What do you see?", photograph("coffee"))
    usage = said.done.usage
    assert usage.input_tokens == 4
    assert usage.output_tokens == len(said.text.split())
    assert usage.estimated
    told = sum(one.tokens for one in said.pieces if isinstance(one, Delta))
    assert told == usage.output_tokens


def test_a_cancel_is_heeded_between_two_lines(backend: SightBackend) -> None:
    page = encoded(card(CARD * 3))
    desk = Desk(page)
    said = []
    for piece in backend.stream(query("Read it.", page), desk):
        said.append(piece)
        desk.cancel()
    assert len(said) == 1


def test_what_cannot_be_looked_at_is_told(backend: SightBackend) -> None:
    with pytest.raises(BadInput, match="no picture to look at"):
        ask(backend, query("What is this?"))
    with pytest.raises(BadInput, match="PNG, JPEG"):
        see(backend, "", b"words")
    with pytest.raises(NotFound):
        ask(backend, query("", b"somebody else's"))
    with pytest.raises(UnknownOption, match="json_schema"):
        see(backend, "", photograph("cat"), json_schema={"type": "object"})
