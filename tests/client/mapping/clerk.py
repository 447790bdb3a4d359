"""A backend that misses the form of an answer until it is told what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from mtor_kernel.protocol.account import Usage
from mtor_kernel.protocol.backend import Context, Delta, Done, ModelSpec, Step
from mtor_kernel.protocol.errors import BadInput, UnknownOption
from mtor_kernel.protocol.query import Modality, Query
from tests.plugins import ReadyBackend


class ClerkBackend(ReadyBackend):
    """Says "Dear Sir" first, and then the form.

    With ``refuse`` it takes no schema at all; with ``stubborn`` it says no to the first queries.
    """

    modalities: ClassVar[frozenset[Modality]] = frozenset({Modality.CHAT})

    def __init__(self, spec: ModelSpec) -> None:
        self._settings = spec.settings
        self._refusals = 0

    def stream(self, query: Query, context: Context) -> Iterator[Delta | Step | Done]:
        if self._settings.get("refuse") and query.options.json_schema is not None:
            raise UnknownOption("This model answers in a form of its own: leave json_schema out.")
        if self._refusals < self._settings.get("stubborn", 0):
            self._refusals += 1
            raise BadInput("Not today.")
        told = query.messages[-1].text
        words = '```json\n{"label": "good", "score": 3}\n```' if "not fit" in told else "Dear Sir"
        yield Delta(words)
        yield Done(Usage(output_tokens=1))
