"""What an attempt says goes out soon, in order and without a gap, whatever becomes of the link."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from dask_workers.alarm import Alarm
from dask_workers.publisher import CHUNK_CHARACTERS, Publisher
from mtor_kernel.protocol.backend import Delta, Step
from mtor_kernel.protocol.codec import MAX_DEPTH, decode, encode
from mtor_kernel.protocol.errors import BackendFailed
from mtor_kernel.protocol.link import (
    AttemptRef,
    WorkerChunk,
    WorkerNGram,
    WorkerOutcome,
    WorkerProgress,
)
from mtor_kernel.protocol.query import Data, Text
from mtor_kernel.protocol.task import Outcome
from mtor_kernel.protocol.units import units

REF = AttemptRef("a" * 32, 1, 1)


class Tape:
    """A wire that keeps what it is given, on the connection that is open."""

    def __init__(self) -> None:
        self.connection = 1
        self.sent: list[tuple[int, WorkerChunk]] = []
        #: Outcomes, with the number of chunks that went before.
        self.ended: list[tuple[int, WorkerOutcome]] = []
        self.steps: list[WorkerProgress] = []
        self.news = threading.Condition()

    def send(self, ngram: WorkerNGram, connection: int) -> bool:
        if connection != self.connection or not connection:
            return False
        if isinstance(ngram, WorkerOutcome):
            self.ended.append((len(self.sent), ngram))
            return True
        if isinstance(ngram, WorkerProgress):
            with self.news:
                self.steps.append(ngram)
                self.news.notify_all()
            return True
        assert isinstance(ngram, WorkerChunk)
        with self.news:
            self.sent.append((connection, ngram))
            self.news.notify_all()
        return True

    @property
    def text(self) -> str:
        return "".join(chunk.text for _, chunk in self.sent)


@pytest.fixture
def tape() -> Tape:
    return Tape()


@pytest.fixture
def publisher(tape: Tape) -> Iterator[Publisher]:
    alarm = Alarm()
    yield Publisher(REF, tape, alarm)
    alarm.close()


def test_the_first_goes_at_once_and_what_follows_is_joined(
    publisher: Publisher, tape: Tape
) -> None:
    publisher.publish(Delta("a"))
    assert tape.text == "a"
    said = "a"
    # Where the machine stops this thread while they are gathered, they go alone: once more.
    while all(len(chunk.text) == 1 for _, chunk in tape.sent):
        for letter in "bcd":
            publisher.publish(Delta(letter))
            said += letter
        with tape.news:
            assert tape.news.wait_for(lambda so_far=said: tape.text == so_far, 60)
    at = 0
    for _, chunk in tape.sent:
        assert chunk.seq == at
        at += len(chunk.text)


def test_much_text_does_not_wait(publisher: Publisher, tape: Tape) -> None:
    publisher.publish(Delta("a"))
    publisher.publish(Delta("b" * 2000))
    assert [len(chunk.text) for _, chunk in tape.sent] == [1, 2000]


def test_long_text_is_split_and_its_positions_count_characters(
    publisher: Publisher, tape: Tape
) -> None:
    publisher.publish(Delta("😀" * (CHUNK_CHARACTERS + 10)))
    chunks = [chunk for _, chunk in tape.sent]
    assert [(chunk.seq, len(chunk.text)) for chunk in chunks] == [
        (0, CHUNK_CHARACTERS),
        (CHUNK_CHARACTERS, 10),
    ]


def test_another_part_is_one_unit_and_flushes_the_words_before_it(
    publisher: Publisher, tape: Tape
) -> None:
    publisher.publish(Delta("ab"))
    publisher.publish(Delta("c", Data([1])))
    publisher.publish(Delta("d"))
    publisher.flush()
    position = 0
    for _, chunk in tape.sent:
        assert chunk.seq == position
        position += units(chunk.text, chunk.part)
    assert position == 5
    assert publisher.parts() == (Text("abc"), Data([1]), Text("d"))


def test_a_new_connection_hears_everything_from_the_beginning(
    publisher: Publisher, tape: Tape
) -> None:
    publisher.publish(Delta("one "))
    tape.connection = 0
    publisher.publish(Delta("two "))
    publisher.flush()
    tape.connection = 2
    publisher.flush()
    again = [chunk for connection, chunk in tape.sent if connection == 2]
    assert [(chunk.seq, chunk.text) for chunk in again] == [(0, "one two ")]


def test_without_a_link_nobody_waits_and_the_answer_is_whole(
    publisher: Publisher, tape: Tape
) -> None:
    tape.connection = 0
    for _ in range(100):
        publisher.publish(Delta("word ", tokens=1))
    assert publisher.parts() == (Text("word " * 100),)
    assert publisher.tokens == 100
    assert not tape.sent


def test_text_that_cannot_travel_is_refused(publisher: Publisher, tape: Tape) -> None:
    with pytest.raises(UnicodeEncodeError):
        publisher.publish(Delta("\ud83d"))
    assert publisher.parts() == ()
    assert not tape.sent


def test_data_that_nest_too_deeply_are_refused_before_the_link_is_blamed(
    publisher: Publisher, tape: Tape
) -> None:
    value: list[Any] = []
    for _ in range(MAX_DEPTH):
        value = [value]
    with pytest.raises(BackendFailed, match="nests deeper than"):
        publisher.publish(Delta(part=Data(value)))
    publisher.publish(Delta(part=Data({"text": "[" * 100})))
    assert len(tape.sent) == 1
    assert isinstance(decode(encode(tape.sent[0][1]), WorkerChunk), WorkerChunk)


def test_a_part_that_no_frame_can_hold_is_left_to_the_outcome(
    publisher: Publisher, tape: Tape
) -> None:
    huge = Data("x" * 300_000)
    publisher.publish(Delta("before"))
    publisher.publish(Delta("", huge))
    publisher.publish(Delta("after"))
    publisher.flush()
    assert [chunk.text for _, chunk in tape.sent] == ["before"]
    assert publisher.parts() == (Text("before"), huge, Text("after"))


def test_the_outcome_follows_the_last_chunk_and_names_its_end(
    publisher: Publisher, tape: Tape
) -> None:
    publisher.publish(Delta("one "))
    publisher.publish(Delta("two", Data([1])))
    publisher.finish(Outcome(REF, publisher.parts(), finish_reason="length"))
    ((chunks, told),) = tape.ended
    assert chunks == len(tape.sent)
    assert (told.next, told.finish_reason) == (len("one two") + 1, "length")


def test_an_outcome_without_an_answer_is_told_too(publisher: Publisher, tape: Tape) -> None:
    publisher.finish(Outcome(REF, cancelled=True))
    assert [(told.next, told.cancelled) for _, told in tape.ended] == [(0, True)]


def test_a_new_connection_hears_the_whole_answer_before_the_outcome(
    publisher: Publisher, tape: Tape
) -> None:
    publisher.publish(Delta("one "))
    tape.connection = 2
    publisher.finish(Outcome(REF, publisher.parts()))
    assert [chunk.seq for connection, chunk in tape.sent if connection == 2] == [0]
    assert [chunks for chunks, _ in tape.ended] == [2]


@pytest.mark.parametrize("connection", [0, 1])
def test_the_outcome_of_what_the_link_did_not_take_is_left_to_dask(
    publisher: Publisher, tape: Tape, connection: int
) -> None:
    tape.connection = connection
    publisher.publish(Delta("", Data("x" * 300_000)))
    publisher.finish(Outcome(REF, publisher.parts()))
    assert not tape.ended


def test_of_many_steps_the_first_and_the_latest_are_told(tape: Tape, publisher: Publisher) -> None:
    for number in range(1000):
        publisher.progress(Step(number / 1000, f"step {number}", b"picture"))
    with tape.news:
        assert tape.news.wait_for(lambda: tape.steps[-1].note == "step 999", 60)
    assert tape.steps[0].note == "step 0"
    # Twenty a second at most: a thousand in less than a second would be fifty times that.
    assert len(tape.steps) < 500


def test_the_latest_step_is_told_before_the_end(tape: Tape, publisher: Publisher) -> None:
    publisher.progress(Step(0.1, "first"))
    publisher.progress(Step(0.9, "last"))
    publisher.flush()
    assert [step.note for step in tape.steps] == ["first", "last"]
