"""Whether the models still have the weights with which their answers were recorded.

What is served now is known where somebody has asked: by the answers that came meanwhile, and by a
list of the models. Nobody is asked only to know it: an answer that is played needs no realm.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from mtor_kernel.client.replay.record import Record
from mtor_kernel.protocol.ngram import Settled
from mtor_kernel.protocol.views import ModelInfo

#: How much of a hash is shown, in characters.
SHOWN_CHARACTERS = 12


class Weights:
    """What each model is known to have now. Pure."""

    def __init__(self) -> None:
        self._now: dict[str, frozenset[str]] = {}
        #: Of which records it was said that theirs are others, by model and weights.
        self._said: set[tuple[str, str]] = set()

    def now(self, model: str, weights: str) -> None:
        """Take note of what has just answered."""
        if weights:
            self._now[model] = frozenset([weights])

    def served(self, models: Iterable[ModelInfo]) -> None:
        """Take note of what the realm serves."""
        self._now |= {one.name: frozenset(one.weights) for one in models if one.weights}

    def warning(self, record: Record) -> str:
        """Return what is to be said of an answer that is played, once; else nothing."""
        found = self._other(record)
        if found is None or found in self._said:
            return ""
        self._said.add(found)
        model, weights = found
        return (
            f"What is replayed of {model} was recorded from other weights "
            f"({short([weights])}) than are served now ({short(self._now[model])}). Have it "
            "recorded anew with %mtor replay anew, if that matters."
        )

    def mixture(self, record: Record, records: Iterable[Record]) -> str:
        """Return what is to be said where older answers are of other weights, once."""
        end = record.end
        if not isinstance(end, Settled):
            return ""
        old = {
            one.end.weights
            for one in self.others(records)
            if isinstance(one.end, Settled) and one.end.model == end.model
        }
        new = {(end.model, weights) for weights in old} - self._said
        self._said |= new
        if not new:
            return ""
        return (
            f"This answer of {end.model} is recorded beside others of other weights "
            f"({short(old)}; now {short([end.weights])}). %mtor replay check lists them."
        )

    def others(self, records: Iterable[Record]) -> list[Record]:
        """Return the answers that were recorded from other weights than are served now."""
        return [record for record in records if self._other(record) is not None]

    def _other(self, record: Record) -> tuple[str, str] | None:
        end = record.end
        if not isinstance(end, Settled) or not end.weights:
            return None
        now = self._now.get(end.model)
        return None if now is None or end.weights in now else (end.model, end.weights)


def short(weights: Collection[str]) -> str:
    """Return what weights are known by, as it is shown: of a hash its beginning."""
    return ", ".join(_cut(one) for one in sorted(weights) if one) or "unknown"


def _cut(weights: str) -> str:
    kind, mark, rest = weights.partition(":")
    return f"{kind}:{rest[:SHOWN_CHARACTERS]}…" if mark and kind == "sha256" else weights
