"""The ledger's nouns, as values: credits, usage, rate cards and charges.

All amounts are integers of micro-credits (``_micro``): a credit is a million of them. Floats never
decide money.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

#: Micro-credits in one credit.
MICRO = 1_000_000

#: A non-negative amount of micro-credits, or a count; JavaScript can hold it exactly.
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]


def show_credits(micro: int) -> str:
    """Return an amount for a person to read, to three significant places below one credit.

    >>> show_credits(1_500_000), show_credits(1_234), show_credits(0)
    ('1.50', '0.00123', '0')
    """
    if micro == 0:
        return "0"
    whole = micro / MICRO
    if abs(whole) >= 1:
        return f"{whole:,.2f}"
    return f"{whole:.3g}" if abs(whole) >= 1e-4 else f"{whole:.6f}".rstrip("0")


class Usage(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What one attempt consumed, in the units that rate cards price."""

    input_tokens: Count = 0
    output_tokens: Count = 0
    #: Pictures drawn.
    images: Count = 0
    #: Diffusion work: pixels × steps, summed over the pictures.
    pixel_steps: Count = 0
    #: Audio heard or spoken, in milliseconds.
    audio_ms: Count = 0
    #: Characters read or spoken.
    characters: Count = 0
    #: Time on the worker, in milliseconds, from the backend's first step to its last.
    compute_ms: Count = 0
    #: Rows of a table that were answered; 1 for a query without any.
    rows: Count = 1
    #: Whether a figure is counted by MTOR, not reported by the backend.
    estimated: bool = False


class RateCard(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The price of a model: micro-credits a unit of :class:`Usage`.

    A card on which everything is zero is refused unless it says ``free = true``: a price is never
    zero by accident.
    """

    #: Taken once a query that ends in an answer, and once an answered row of a table.
    query_micro: Count = 0
    input_token_micro: Count = 0
    output_token_micro: Count = 0
    image_micro: Count = 0
    #: For a million pixels × steps: 512×512 at 20 steps is 5.24 of them.
    megapixel_step_micro: Count = 0
    audio_second_micro: Count = 0
    character_micro: Count = 0
    compute_second_micro: Count = 0
    free: bool = False

    def __post_init__(self) -> None:
        priced = any(getattr(self, name) for name in self.__struct_fields__ if name != "free")
        if priced == self.free:
            raise ValueError("a rate card prices at least one unit, or says free = true, not both")


class Charge(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a query cost in the end. Never above its hold."""

    amount_micro: Count = 0
    usage: Usage = Usage()
