"""What :meth:`RealmClient.ask` gives back."""

from __future__ import annotations

from typing import Any

import msgspec

from mtor_kernel.protocol.account import Charge, show_credits
from mtor_kernel.protocol.query import Audio, Data, Image, Part, row_answers

#: How much of the answer a short form shows, in characters.
SHOWN_CHARACTERS = 60


class Reply(msgspec.Struct, frozen=True):
    """An answer, and what it cost. ``str()`` of it is its words.

    In a notebook it shows as plain text: what a model says is not to be trusted as Markdown or
    HTML. The magics register a formatter for this type with IPython that renders it safely.
    """

    text: str
    #: The words and everything else, in order.
    parts: tuple[Part, ...]
    #: The model that answered, after aliases and fallbacks.
    model: str
    charge: Charge
    #: ``stop``: the model had finished; ``length``: the limit of tokens cut it; ``time``: there was
    #: no time for the rest of its rows.
    finish_reason: str
    #: From submission to end, and of that from the last attempt's start to its end.
    seconds: float
    running_seconds: float
    #: The query's id.
    query: str
    #: How many tries it took.
    attempts: int
    #: What the model's weights are known by: ``sha256:…``, or what a service calls its model; empty
    #: where nobody can tell.
    weights: str = ""
    #: Whether it was played from a record, and not asked for now.
    replayed: bool = False

    @property
    def data(self) -> list[Any]:
        """What it found, as values: boxes, segments, vectors, an API's JSON."""
        parts = [*self.parts, *(part for one in row_answers(self.parts) for part in one.parts)]
        return [part.value for part in parts if isinstance(part, Data)]

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        cut = self.text[:SHOWN_CHARACTERS] + ("…" if len(self.text) > SHOWN_CHARACTERS else "")
        cost = show_credits(self.charge.amount_micro)
        return f"<Reply of {self.model}: {cut!r} ({self.seconds:.1f} s, {cost} credits)>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Show the words themselves as the result of a notebook's cell."""
        printer.text(self.text or repr(self))


def answer_of(reply: Reply) -> Any:
    """Return an answer as one value: its words; a vector; findings; or the part that was made."""
    made = [part for part in reply.parts if isinstance(part, Image | Audio)]
    if made:
        return made[0] if len(made) == 1 else made
    if reply.text or not reply.data:
        return reply.text
    first = reply.data[0]
    return first["embedding"] if isinstance(first, dict) and "embedding" in first else first
