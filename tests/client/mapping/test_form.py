"""Answers in a form."""

import dataclasses
from typing import Any

import msgspec
import pytest
from pydantic import BaseModel

from mtor_kernel.client.mapping.form import Misfit, form_of
from mtor_kernel.protocol.errors import BadInput


@dataclasses.dataclass
class Plain:
    label: str
    score: int = 0


class Quick(msgspec.Struct):
    label: str
    score: int = 0


class Strict(BaseModel):
    label: str
    score: int = 0


class Inner(msgspec.Struct):
    label: str


class Outer(msgspec.Struct):
    inner: Inner


SCHEMA = {
    "type": "object",
    "properties": {"label": {"enum": ["good", "bad"]}, "score": {"type": "integer"}},
    "required": ["label"],
}


@pytest.mark.parametrize("kind", [Plain, Quick, Strict])
@pytest.mark.parametrize(
    "text",
    [
        '{"label": "good", "score": 3}',
        'Here it is:\n```json\n{"label": "good", "score": 3}\n```\nWell?',
        'Of {these}: {"label": "good", "score": 3}.',
    ],
)
def test_json_is_found_between_words_and_becomes_the_class(kind: Any, text: str) -> None:
    form = form_of(kind)
    assert form is not None
    assert form.value(text) == kind(label="good", score=3)
    assert form.schema["type"] == "object"
    assert "label" in form.schema["properties"]


def test_a_schema_gives_plain_values_and_says_what_misfits() -> None:
    form = form_of(SCHEMA)
    assert form is not None
    assert form.value('{"label": "bad"}') == {"label": "bad"}
    with pytest.raises(Misfit, match="fine"):
        form.value('{"label": "fine"}')
    with pytest.raises(Misfit, match="no JSON"):
        form.value("fine")


def test_definitions_within_are_kept() -> None:
    form = form_of(Outer)
    assert form is not None
    assert "$ref" not in form.schema
    assert "Inner" in form.schema["$defs"]
    assert form.value('{"inner": {"label": "x"}}') == Outer(Inner("x"))


@pytest.mark.parametrize("given", [7, "label", {"type": "nothing"}, list])
def test_what_is_no_form_is_refused(given: Any) -> None:
    with pytest.raises(BadInput):
        form_of(given)


def test_a_schema_that_points_elsewhere_is_not_fetched() -> None:
    form = form_of({"$ref": "http://127.0.0.1:9/schema"})
    assert form is not None
    with pytest.raises(Misfit):
        form.value("{}")


@pytest.mark.timeout(100)
@pytest.mark.parametrize(
    "text", ["[" * 200_000, "[" * 100_000 + "]" * 100_000, "so: " + "[" * 50_000]
)
def test_an_answer_that_nests_without_end_is_a_misfit(text: str) -> None:
    form = form_of(SCHEMA)
    assert form is not None
    with pytest.raises(Misfit, match="no JSON"):
        form.value(text)
