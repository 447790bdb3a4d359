"""The networks together: one look at a picture, in steps."""

from __future__ import annotations

from collections.abc import Iterator

from PIL import Image

from dask_workers.sight import colours
from dask_workers.sight.findings import SURE, Findings, Line
from dask_workers.sight.labels import Labeller
from dask_workers.sight.nouns import Noun
from dask_workers.sight.objects import Detector
from dask_workers.sight.picture import Picture
from dask_workers.sight.text import Reader


class Sight:
    """The three networks in memory."""

    def __init__(self, threads: int = 1) -> None:
        self._labeller = Labeller(threads)
        self._detector = Detector(threads)
        self._reader = Reader(threads)

    def glance(self, picture: Picture, noun: Noun | None = None) -> Findings:
        """Return what is on the picture, and not yet what is written on it: that takes longer.

        `noun` is what is asked about; its colours are looked at too.
        """
        labels, kinds = self._labeller.look(picture.image)
        found = Findings(
            picture.size,
            picture.animated,
            objects=self._detector.look(picture),
            labels=labels,
            kinds=kinds,
            colours=colours.look(picture.image),
        )
        for thing in found.objects:
            if noun and thing.label == noun.name and thing.score >= SURE:
                found.colours_of_thing = colours.look(_middle(picture, thing.box))
                break
        return found

    def read(self, picture: Picture) -> Iterator[Line | None]:
        """Yield each line of writing, or ``None`` where there is none after all."""
        return self._reader.look(picture)


def _middle(picture: Picture, box: tuple[int, int, int, int]) -> Image.Image:
    """Return the middle of a box, where little of the background is."""
    left, top, right, bottom = (side / picture.scale for side in box)
    across, down = (right - left) / 4, (bottom - top) / 4
    return picture.image.crop(
        (int(left + across), int(top + down), int(right - across) + 1, int(bottom - down) + 1)
    )
