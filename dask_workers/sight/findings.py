"""What was found on one picture."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

#: Left, top, right and bottom, in pixels of the upright picture.
Box = tuple[int, int, int, int]

#: From this score on a thing is said outright; from the second on, with "perhaps".
SURE = 0.5
PERHAPS = 0.4
#: The same for a label of the whole picture, and for a line of text.
LABEL_SURE = 0.5
LABEL_PERHAPS = 0.25
LINE_SURE = 0.8


class Line(NamedTuple):
    """A line of writing."""

    text: str
    score: float
    box: Box


class Thing(NamedTuple):
    """One of the 80 things that the detector knows."""

    label: str
    score: float
    box: Box


class Label(NamedTuple):
    """What the picture as a whole may show."""

    label: str
    score: float


class Colour(NamedTuple):
    """A colour, by its plain name."""

    name: str
    #: Of the picture's area, 0 to 1.
    share: float
    #: The mean of what goes by that name, as ``#rrggbb``.
    hex: str


@dataclass
class Findings:
    """What was found on one picture, best first; lines in the order of reading."""

    #: Width and height of the upright picture, in pixels.
    size: tuple[int, int]
    animated: bool = False
    text: list[Line] = field(default_factory=list)
    objects: list[Thing] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)
    #: Sums of labels that are of one kind: all breeds of dogs are a dog.
    kinds: list[Label] = field(default_factory=list)
    colours: list[Colour] = field(default_factory=list)
    #: The colours about the middle of the thing that was asked about, where it was found.
    colours_of_thing: list[Colour] = field(default_factory=list)

    def data(self) -> dict[str, Any]:
        """Return it as plain values, scores and shares rounded."""
        return {
            "size": list(self.size),
            "text": [_row(line, box=list(line.box)) for line in self.text],
            "objects": [_row(thing, box=list(thing.box)) for thing in self.objects],
            "labels": [_row(label) for label in self.labels],
            "colours": [_row(colour) for colour in self.colours],
        }


def _row(one: Line | Thing | Label | Colour, **instead: Any) -> dict[str, Any]:
    row = one._asdict() | instead
    return {name: round(v, 3) if isinstance(v, float) else v for name, v in row.items()}
