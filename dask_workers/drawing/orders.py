"""What a query wants drawn, held against what the model draws."""

from __future__ import annotations

import secrets
from typing import Any, NamedTuple

from PIL import Image as Picture
from PIL import ImageOps

from dask_workers.sight.picture import open_picture
from mtor_kernel.protocol.backend import Context, ModelSpec
from mtor_kernel.protocol.errors import BadInput, TooLarge, UnknownOption
from mtor_kernel.protocol.query import Image, Query, Text

#: What holds where neither the query nor the model's entry says it.
USUAL = {"width": 512, "height": 512, "steps": 30, "guidance": 7.5, "strength": 0.7}
#: Latent pictures are coarser than drawn ones by this much.
GRAIN = 8


class Manner(NamedTuple):
    """How something is drawn. Orders of one manner may be drawn together."""

    width: int
    height: int
    steps: int
    guidance: float
    #: How far to leave the picture that was given; ``None`` where none was.
    strength: float | None = None

    @property
    def steps_taken(self) -> int:
        """Steps that are really taken: a given picture begins in the middle."""
        return self.steps if self.strength is None else int(self.steps * self.strength)


class Order(NamedTuple):
    """One picture to draw."""

    prompt: str
    manner: Manner
    #: The same seed, words and manner give the same picture.
    seed: int
    negative: str = ""
    #: The picture to begin with, of the size that is drawn.
    picture: Picture.Image | None = None


def order_of(query: Query, spec: ModelSpec, context: Context) -> Order:
    """Return what the query wants drawn.

    Raises
    ------
    BadInput
        No words, several pictures, or something that cannot be drawn from.
    UnknownOption
        A size or a strength that no picture can have.
    TooLarge
        More pixels than the model's entry allows.
    """
    parts = query.messages[-1].parts
    pictures = [part for part in parts if isinstance(part, Image)]
    if len(pictures) > 1 or not all(isinstance(part, Text | Image) for part in parts):
        raise BadInput("This model draws from words and one picture at most: leave the rest out.")
    prompt = query.messages[-1].text.strip()
    if not prompt:
        raise BadInput("There are no words to draw from: say what the picture is to show.")
    manner = _manner(query, spec, with_picture=bool(pictures))
    _check_size(manner, spec)
    seed, negative = (_chosen(query, spec, name) for name in ("seed", "negative_prompt"))
    return Order(
        prompt,
        manner,
        secrets.randbelow(2**32) if seed is None else seed,
        (negative or "").strip(),
        _fitted(context.read_blob(pictures[0].blob), manner) if pictures else None,
    )


def _manner(query: Query, spec: ModelSpec, *, with_picture: bool) -> Manner:
    if query.options.strength is not None and not with_picture:
        raise UnknownOption("strength says how far to leave a picture: send one, or leave it out.")
    chosen: dict[str, Any] = {name: _chosen(query, spec, name) for name in USUAL}
    chosen |= {name: USUAL[name] for name, value in chosen.items() if value is None}
    manner = Manner(**chosen)
    for name in ("width", "height"):
        if getattr(manner, name) % GRAIN:
            raise UnknownOption(
                f"{name} is {getattr(manner, name)}, but pictures are drawn in squares of {GRAIN} "
                f"pixels: take a multiple of {GRAIN}."
            )
    if not with_picture:
        return manner._replace(strength=None)
    if not manner.steps_taken:
        raise UnknownOption(
            f"A strength of {manner.strength} of {manner.steps} steps leaves none to draw: raise "
            "one of them."
        )
    return manner


def _check_size(manner: Manner, spec: ModelSpec) -> None:
    """Refuse what is above the bounds that the price was held for."""
    pixels = manner.width * manner.height
    if pixels > spec.max_pixels:
        raise TooLarge(
            f"{manner.width}×{manner.height} are more than the {spec.max_pixels:,} pixels that "
            f"{spec.name} draws: ask for a smaller picture.",
            limit=spec.max_pixels,
            used=pixels,
        )
    if manner.steps > spec.max_steps:
        raise TooLarge(
            f"{manner.steps} steps are more than the {spec.max_steps} that {spec.name} takes: ask "
            "for fewer.",
            limit=spec.max_steps,
            used=manner.steps,
        )


def _chosen(query: Query, spec: ModelSpec, name: str) -> Any:
    given = getattr(query.options, name)
    return getattr(spec.defaults, name) if given is None else given


def _fitted(content: bytes, manner: Manner) -> Picture.Image:
    picture = open_picture(content).image
    return ImageOps.fit(picture, (manner.width, manner.height), Picture.Resampling.LANCZOS)
