"""What was found is said in plain English, with "perhaps" where it is not sure."""

from __future__ import annotations

import pytest

from dask_workers.sight.findings import Box, Colour, Findings, Label, Line, Thing
from dask_workers.sight.kinds import KINDS
from dask_workers.sight.networks import names
from dask_workers.sight.nouns import counted, many, one
from dask_workers.sight.question import understand
from dask_workers.sight.sentences import answer, line

LEFT, MIDDLE = (0, 200, 200, 400), (250, 250, 350, 350)


def things(*found: tuple[str, float]) -> list[Thing]:
    return [Thing(label, score, MIDDLE) for label, score in found]


def findings(*found: tuple[str, float], **more: object) -> Findings:
    return Findings((600, 600), objects=things(*found), **more)  # type: ignore[arg-type]  # by name


def told(question: str, found: Findings) -> str:
    return " ".join(answer(understand(question), found))


def test_things_are_counted_and_doubts_are_told() -> None:
    found = findings(("person", 0.9), ("person", 0.8), ("dog", 0.45), ("person", 0.42))
    assert "There are two people on the picture, and perhaps a dog and another person." in told(
        "", found
    )


def test_what_is_too_doubtful_is_not_said() -> None:
    assert "None of the 80 kinds" in told("", findings(("toilet", 0.35)))


def test_a_name_for_the_whole_is_hedged_by_its_score() -> None:
    assert "looks like an espresso" in told("", findings(labels=[Label("espresso", 0.94)]))
    assert "looks perhaps like a missile" in told("", findings(labels=[Label("missile", 0.3)]))
    assert "maze" not in told("", findings(labels=[Label("maze", 0.1)]))


def test_breeds_add_up_to_their_kind() -> None:
    cat = {"labels": [Label("tiger cat", 0.36)], "kinds": [Label("cat", 0.88)]}
    assert "looks like a cat, perhaps a tiger cat" in told("", findings(**cat))
    assert told("", findings(("cat", 0.6), **cat)).startswith(
        "There is a cat on the picture. It may be a tiger cat."
    )
    assert told("Is there a cat?", findings(**cat)).startswith("Yes")


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("How many people are there?", "Two people were found, and perhaps 1 more."),
        ("How many dogs are there?", "Perhaps one; none for sure."),
        ("How many cars?", "No car was found. Small, hidden or unusual ones are missed."),
        ("How many unicorns?", "cannot count 'unicorns'"),
        ("Is there a person?", "Yes: two people were found."),
        ("Is there a dog?", "Perhaps: something looks like a dog, with a score of 45%."),
        ("Is there a car?", "No car was found."),
        ("Are there any unicorns?", "no name for 'unicorns'"),
        ("Where is the dog?", "Perhaps in the middle; it is not sure."),
        ("Where is the car?", "No car was found, so where it is cannot be told."),
        ("Who is that?", "This model cannot tell who anybody is."),
        ("Why?", "cannot answer such a question"),
    ],
)
def test_a_question_is_answered_from_what_was_found(question: str, said: str) -> None:
    found = findings(("person", 0.9), ("person", 0.8), ("dog", 0.45), ("person", 0.42))
    assert said in told(question, found)


def test_a_place_is_told_in_words() -> None:
    found = findings()
    found.objects = [Thing("cat", 0.9, LEFT), Thing("cat", 0.8, (450, 450, 600, 600))]
    assert told("Where are the cats?", found) == (
        "Two cats were found: on the left and at the bottom on the right."
    )


def test_colours_are_those_of_the_thing_or_else_of_the_whole() -> None:
    red, blue = Colour("red", 0.9, "#ff0000"), Colour("blue", 0.6, "#0000ff")
    assert told("What colour is the car?", findings(("car", 0.9), colours_of_thing=[red])) == (
        "The main colour about the middle of the car is red."
    )
    assert told("What colour is the car?", findings(colours=[blue, red])) == (
        "No car was found whose colour could be told; this is about the whole. "
        "The main colours are blue and red."
    )


def test_an_unsure_line_is_marked() -> None:
    box: Box = (0, 0, 1, 1)
    assert line(Line("Ada", 0.99, box)) == "“Ada”"
    assert line(Line("Ada", 0.7, box)) == "“Ada” (perhaps)"
    assert line(Line("żółć, 12 %", 0.99, box)) == "“żółć, 12 %”"
    assert line(Line("αλημρα κσε", 0.99, box)) == "“αλημρα κσε” (perhaps)"


def test_words_have_their_articles_and_plurals() -> None:
    assert [one(name) for name in ("apple", "umbrella", "unicycle", "hourglass", "dog")] == [
        "an apple", "an umbrella", "a unicycle", "an hourglass", "a dog",
    ]  # fmt: skip
    assert [many(name) for name in ("person", "bus", "berry", "toy", "knife")] == [
        "people", "buses", "berries", "toys", "knives",
    ]  # fmt: skip
    assert counted(12, "bird") == "12 birds"


def test_kinds_hold_the_classes_that_they_are_made_of() -> None:
    labels = names("labels.txt")
    assert len(labels) == 1000
    assert len(names("objects.txt")) == 80
    for kind, first, last in (
        ("cat", "tabby", "Egyptian cat"),
        ("dog", "Chihuahua", "Mexican hairless"),
        ("bear", "brown bear", "sloth bear"),
        ("butterfly", "admiral", "lycaenid"),
        ("monkey", "orangutan", "squirrel monkey"),
        ("mushroom", "coral fungus", "bolete"),
        ("wolf", "timber wolf", "coyote"),
    ):
        ((begin, end),) = KINDS[kind]
        assert (labels[begin], labels[end]) == (first, last)
    singles = {"bus", "boat", "car", "airplane", "truck", "train", "clock"}
    named = {kind: [labels[begin] for begin, _ in KINDS[kind]] for kind in singles}
    assert named["airplane"] == ["airliner", "warplane"]
    assert named["bus"] == ["minibus", "school bus", "trolleybus"]
    assert "sports car" in named["car"]
    assert "speedboat" in named["boat"]
    assert "garbage truck" in named["truck"]
    assert "steam locomotive" in named["train"]
