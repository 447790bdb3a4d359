"""Whatever order and shape chunks come in, the answer put together is the answer that was told."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from mtor_kernel.client.transcript import Transcript
from mtor_kernel.protocol.account import Charge
from mtor_kernel.protocol.ngram import Chunk, Progress, QueryEvent, Requeued, Settled, Started
from mtor_kernel.protocol.query import Data, Part, Text, text_of
from mtor_kernel.protocol.units import after, units

ID = "0" * 32


def chunk(attempt: int, seq: int, text: str = "", part: Part | None = None) -> Chunk:
    return Chunk(ID, attempt, seq, seq + units(text, part), text, part)


def settled(attempt: int) -> Settled:
    return Settled(ID, attempt, "echo", Charge())


def retold(answer: tuple[Part, ...], seq: int, cuts: list[int]) -> list[Chunk]:
    """What a realm tells of `answer` from a cursor on, cut into chunks of the given sizes."""
    told: list[Chunk] = []
    rest = after(answer, seq)
    sizes = iter(cuts)
    for part in rest:
        if not isinstance(part, Text):
            told.append(chunk(1, seq, part=part))
            seq += 1
            continue
        text = part.text
        while text:
            size = next(sizes, len(text))
            told.append(chunk(1, seq, text[:size]))
            seq += len(text[:size])
            text = text[size:]
    return told


parts = st.lists(
    st.one_of(st.text(min_size=1, max_size=12).map(Text), st.integers().map(Data)), max_size=5
).map(tuple)
sizes = st.lists(st.integers(1, 5), max_size=12)


@settings(deadline=None)
@given(parts, st.lists(st.tuples(st.integers(0, 40), st.integers(0, 10), sizes), max_size=6))
def test_any_overlapping_tellings_give_the_answer_once(
    answer: tuple[Part, ...], tellings: list[tuple[int, int, list[int]]]
) -> None:
    transcript = Transcript(ID)
    given_out: list[QueryEvent] = []
    for seq, upto, cuts in [*tellings, (0, 10_000, [])]:
        for one in retold(answer, seq, cuts)[:upto]:
            given_out += transcript.take(one)[0]
    given_out += transcript.take(settled(1))[0] if answer else []
    assert text_of(transcript.parts) == text_of(answer)
    assert [part for part in transcript.parts if isinstance(part, Data)] == [
        part for part in answer if isinstance(part, Data)
    ]
    chunks = [event for event in given_out if isinstance(event, Chunk)]
    assert "".join(event.text for event in chunks) == text_of(answer)
    assert all(one.next == other.seq for one, other in pairwise(chunks))


def test_a_gap_is_asked_for_once_and_the_end_waits_for_it() -> None:
    transcript = Transcript(ID)
    transcript.take(chunk(1, 0, "ab"))
    assert transcript.take(chunk(1, 3, "d")) == ([], True)
    assert transcript.take(chunk(1, 4, "e")) == ([], False)
    assert (transcript.cursor.attempt, transcript.cursor.seq) == (1, 2)
    assert transcript.take(settled(1)) == ([], False)
    transcript.take(chunk(1, 2, "cde"))
    assert transcript.take(settled(1)) == ([settled(1)], False)
    assert text_of(transcript.parts) == "abcde"


def test_a_later_attempt_voids_an_earlier_one_even_if_nobody_said_so() -> None:
    transcript = Transcript(ID)
    transcript.take(Started(ID, 1))
    transcript.take(chunk(1, 0, "old"))
    told, missing = transcript.take(chunk(2, 0, "new"))
    assert told == [Requeued(ID, 2), Started(ID, 2), chunk(2, 0, "new")]
    assert not missing
    assert transcript.take(chunk(1, 3, "er")) == ([], False)
    assert transcript.take(Progress(ID, 1, 0.5)) == ([], False)
    assert text_of(transcript.parts) == "new"


def test_the_end_of_an_attempt_that_was_not_seen_has_its_answer_asked_for() -> None:
    transcript = Transcript(ID)
    transcript.take(chunk(1, 0, "old"))
    assert transcript.take(settled(3)) == ([], True)
    assert (transcript.cursor.attempt, transcript.cursor.seq) == (3, 0)
    transcript.take(chunk(3, 0, "new"))
    transcript.take(settled(3))
    assert text_of(transcript.parts) == "new"


def test_an_empty_answer_ends_after_one_question() -> None:
    transcript = Transcript(ID)
    assert transcript.take(settled(1)) == ([], True)
    assert transcript.take(settled(1))[0] == [settled(1)]
    assert transcript.parts == ()


def test_nothing_follows_the_end() -> None:
    transcript = Transcript(ID)
    transcript.take(Started(ID, 1))
    transcript.take(settled(1))
    assert transcript.take(chunk(2, 0, "late")) == ([], False)
