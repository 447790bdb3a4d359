"""Texts are cut into queries, and vectors taken from answers."""

import pytest

from mtor_kernel.protocol.errors import BackendFailed, BadInput
from mtor_kernel.protocol.query import Data, Text
from mtor_kernel.protocol.vectors import (
    MOST_BYTES,
    MOST_TEXTS,
    check_one_model,
    embedding_query,
    groups,
    vectors_of,
)


def test_texts_are_cut_by_their_number_and_by_their_length() -> None:
    assert [len(group) for group in groups(["a"] * (2 * MOST_TEXTS + 1))] == [256, 256, 1]
    long = "é" * (MOST_BYTES // 4)  # half of what fits, in bytes
    assert [len(group) for group in groups([long] * 5)] == [2, 2, 1]
    assert list(groups(["x" * 10 * MOST_BYTES])) == [["x" * 10 * MOST_BYTES]]


@pytest.mark.parametrize("texts", [[], [""], ["a", " "], ["a", 5]])
def test_what_is_no_text_is_refused(texts: list[str]) -> None:
    with pytest.raises(BadInput):
        list(groups(texts))


def test_each_text_is_a_part_and_each_vector_too() -> None:
    query = embedding_query(["a", "b"], "minilm")
    assert query.messages[0].parts == (Text("a"), Text("b"))
    parts = (Data({"embedding": [1, 2]}), Text("said"), Data({"other": 1}), Data([1]))
    assert vectors_of(parts, 1) == [[1.0, 2.0]]
    with pytest.raises(BackendFailed, match="1 vectors for 2 texts"):
        vectors_of(parts, 2)


def test_vectors_of_two_models_are_not_mixed() -> None:
    check_one_model(["a", "a"])
    with pytest.raises(BackendFailed, match=r"different models \(a, b\)"):
        check_one_model(["b", "a"])
