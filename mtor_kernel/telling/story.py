"""What is known so far of one query: its text, and one quiet line on how it stands."""

from __future__ import annotations

from mtor_kernel.client.reply import Reply
from mtor_kernel.protocol.account import Usage
from mtor_kernel.protocol.ngram import (
    Cancelled,
    Chunk,
    Failed,
    Progress,
    QueryEnd,
    QueryEvent,
    Queued,
    Requeued,
    Settled,
    Started,
)
from mtor_kernel.protocol.query import Audio
from mtor_kernel.protocol.task import OUT_OF_TIME
from mtor_kernel.telling.figures import SHORTEST_SECONDS, show_cost, show_count, show_seconds

#: Shown while nothing better is known.
WAITING = "…"


class Story:
    """One query, as its events tell it. The text is always that of one attempt."""

    def __init__(self) -> None:
        #: The quiet line.
        self.note = WAITING
        self.end: QueryEnd | None = None
        #: How far a picture is, as a small PNG; empty while there is none.
        self.preview = b""
        #: How far it is, from 0 to 1, where its model tells.
        self.fraction: float | None = None
        self._sounds = 0
        self._pieces: list[str] = []
        #: The model that it was first for.
        self._first = ""

    @property
    def text(self) -> str:
        """The words of the answer so far."""
        if len(self._pieces) > 1:
            self._pieces = ["".join(self._pieces)]
        return self._pieces[0] if self._pieces else ""

    def hear(self, event: QueryEvent) -> None:
        """Take the next event of the query."""
        match event:
            case Queued():
                self._stands_in(event.model)
                self.note = waiting_line(event)
            case Started():
                self.note = self._stands_in(event.model) or WAITING
            case Progress():
                self.note = f"{event.fraction:.0%} {event.note}".rstrip()
                self.preview = event.preview or self.preview
                self.fraction = event.fraction
            case Chunk(part=Audio()):
                self._sounds += 1
                self.note = f"{show_count(self._sounds, 'sentence')} spoken so far"
            case Chunk():
                self._pieces.append(event.text)
                self.note = WAITING
            case Requeued():
                self._pieces.clear()
                self._sounds, self.preview, self.fraction = 0, b"", None
                self.note = f"starting afresh{': ' + event.reason if event.reason else ''}"
            case Settled() | Failed() | Cancelled():
                self.end = event
                self.note = last_line(event)
                if isinstance(event, Settled) and self._stands_in(event.model):
                    self.note += f" · in place of {self._first}"

    def _stands_in(self, model: str) -> str:
        """Say that `model` answers in place of the first one; empty where it is that."""
        self._first = self._first or model
        if not model or model == self._first:
            return ""
        return f"{model} answers in place of {self._first}"


def waiting_line(event: Queued) -> str:
    """Return where a waiting query stands: how many before it, and for about how long."""
    place = show_count(event.position, "query", "queries") + " before yours"
    line = place if event.position else "next to start"
    eta = event.eta_seconds or 0.0
    facts = [line, f"about {show_seconds(eta)}" if eta >= SHORTEST_SECONDS else "", event.reason]
    return " · ".join(filter(None, facts))


def last_line(end: QueryEnd) -> str:
    """Return how it ended."""
    match end:
        case Settled():
            return cost_line(end)
        case Cancelled():
            micro = end.charge.amount_micro
            return f"cancelled · {show_cost(micro) if micro else 'nothing'} charged"
        case Failed():
            return "no answer · nothing charged"


def cost_line(answered: Settled | Reply) -> str:
    """Return what an answer took: model, units, seconds, credits."""
    usage, micro = answered.charge.usage, answered.charge.amount_micro
    cost = [show_seconds(answered.seconds), show_cost(micro)]
    facts = [answered.model, *units_of(usage), *cost]
    if answered.finish_reason == "length":
        facts.append("cut at the longest answer allowed")
    elif answered.finish_reason == OUT_OF_TIME:
        facts.append("no time for the rest of its rows")
    return " · ".join(facts)


def units_of(usage: Usage) -> list[str]:
    """Return what was used, in the units of its modality."""
    units = [] if usage.rows == 1 else [show_count(usage.rows, "row")]
    if usage.images:
        units.append(show_count(usage.images, "picture"))
    if usage.characters:
        units.append(show_count(usage.characters, "character"))
    if usage.audio_ms:
        units.append(f"{show_seconds(usage.audio_ms / 1000)} of sound")
    tokens = usage.input_tokens + usage.output_tokens
    return [*units, show_count(tokens, "token")] if tokens else units
