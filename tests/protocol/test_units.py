"""Where a stream of an answer stands, counted in units."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from mtor_kernel.protocol.query import Image, Part, Text
from mtor_kernel.protocol.units import after, parts_of

part = st.text(max_size=6).map(Text) | st.just(Image("a" * 64))
answer = st.lists(part, max_size=6).map(tuple)


def flat(of: tuple[Part, ...]) -> list[object]:
    units: list[object] = []
    for one in of:
        units += list(one.text) if isinstance(one, Text) else [one]
    return units


@given(answer, st.integers(0, 40))
def test_what_lies_after_a_position_completes_what_lies_before(
    parts: tuple[Part, ...], seq: int
) -> None:
    assert flat(tuple(after(parts, seq))) == flat(parts)[seq:]


@given(answer)
def test_pieces_make_the_same_answer_with_no_two_words_side_by_side(
    pieces: tuple[Part, ...],
) -> None:
    parts = parts_of(pieces)
    assert flat(parts) == flat(pieces)
    assert not any(isinstance(one, Text) and isinstance(two, Text) for one, two in pairwise(parts))
