"""The conversations of one kernel: named threads of turns, as long as a model can hold."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mtor_kernel.protocol.query import Message, Text

#: Tokens that a turn costs beside its words.
_TURN_TOKENS = 8


class Conversations:
    """Threads of turns by name. A turn joins its thread only once it was answered."""

    def __init__(self) -> None:
        self._threads: dict[str, tuple[Message, ...]] = {}
        self._systems: dict[str, str] = {}
        #: Under which id the realm keeps each thread: that of its first query, so that a thread
        #: that is replayed in another kernel is the same one.
        self._ids: dict[str, str] = {}
        #: Queries of each thread that the realm was not yet told to keep.
        self._untold: dict[str, list[str]] = {}

    def ask(
        self, name: str, prompt: str, system: str = "", room: int | None = None
    ) -> tuple[Message, ...]:
        """Return the messages for the next question of a thread.

        A `system` text replaces what the thread was told before. Where the messages would take
        more than about `room` tokens, the oldest turns are left out.
        """
        if system:
            self._systems[name] = system
        told = self._systems.get(name, "")
        head = (Message("system", (Text(told),)),) if told else ()
        question = Message("user", (Text(prompt),))
        turns = self._threads.get(name, ())
        if room is not None:
            turns = _newest(turns, room - tokens_of((*head, question)))
        return (*head, *turns, question)

    def answered(self, name: str, prompt: str, answer: str, query: str = "") -> None:
        """Keep a question and its answer, which `query` was."""
        turn = (Message("user", (Text(prompt),)), Message("assistant", (Text(answer),)))
        self._threads[name] = (*self._threads.get(name, ()), *turn)
        if query:
            self._ids.setdefault(name, query)
            self._untold.setdefault(name, []).append(query)

    def to_keep(self, name: str) -> tuple[str, list[str]]:
        """Return the id of a thread and the queries that the realm is to keep; ask only once."""
        return self._ids[name], self._untold.pop(name, [])

    def known_id(self, name: str) -> str:
        """Return the id of a thread that has turns here; empty where there is none."""
        return self._ids.get(name, "") if name in self._threads else ""

    def rename(self, name: str, new: str) -> None:
        """Call a thread `new`; raise :class:`KeyError` where there is none.

        A thread that had that name is dropped here.
        """
        if name not in self.names():
            raise KeyError(name)
        for kept in (self._threads, self._systems, self._ids, self._untold):
            _move(kept, name, new)

    def resume(
        self, name: str, id: str, turns: Iterable[tuple[Message, Message]], system: str
    ) -> int:
        """Go on with a thread that the realm has kept; return how many turns it has."""
        self._threads[name] = tuple(message for turn in turns for message in turn)
        self._ids[name] = id
        self._systems.pop(name, None)
        self._untold.pop(name, None)
        if system:
            self._systems[name] = system
        return len(self._threads[name]) // 2

    def forget(self, name: str) -> int:
        """Drop a thread and return how many turns it had; raise :class:`KeyError` where none is."""
        if name not in self.names():
            raise KeyError(name)
        self._systems.pop(name, None)
        self._ids.pop(name, None)
        self._untold.pop(name, None)
        return len(self._threads.pop(name, ())) // 2

    def names(self) -> list[str]:
        """Return the names of all threads."""
        return sorted({*self._threads, *self._systems})


def _move(kept: dict[str, Any], name: str, new: str) -> None:
    kept.pop(new, None)
    if name in kept:
        kept[new] = kept.pop(name)


def tokens_of(messages: tuple[Message, ...]) -> int:
    """Return about how many tokens `messages` take, rather too many than too few.

    The model's tokenizer is far away: three ASCII characters count as one, and so does each byte
    of the rest.
    """
    return sum(_TURN_TOKENS + _tokens_in(message.text) for message in messages)


def _tokens_in(text: str) -> int:
    ascii_only = sum(map(str.isascii, text))
    return ascii_only // 3 + len(text.encode("utf-8", "replace")) - ascii_only


def _newest(turns: tuple[Message, ...], room: int) -> tuple[Message, ...]:
    """Return the newest whole turns (a question and its answer) that fit in `room` tokens."""
    start = len(turns)
    while start >= 2 and (room := room - tokens_of(turns[start - 2 : start])) >= 0:
        start -= 2
    return turns[start:]
