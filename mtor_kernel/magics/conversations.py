"""The conversations of one kernel: named threads of turns, as long as a model can hold."""

from __future__ import annotations

from mtor_kernel.protocol.query import Message, Text

#: Tokens that a turn costs beside its words.
_TURN_TOKENS = 8


class Conversations:
    """Threads of turns by name. A turn joins its thread only once it was answered."""

    def __init__(self) -> None:
        self._threads: dict[str, tuple[Message, ...]] = {}
        self._systems: dict[str, str] = {}

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

    def answered(self, name: str, prompt: str, answer: str) -> None:
        """Keep a question and its answer."""
        turn = (Message("user", (Text(prompt),)), Message("assistant", (Text(answer),)))
        self._threads[name] = (*self._threads.get(name, ()), *turn)

    def forget(self, name: str) -> int:
        """Drop a thread and return how many turns it had; raise :class:`KeyError` where none is."""
        if name not in self.names():
            raise KeyError(name)
        self._systems.pop(name, None)
        return len(self._threads.pop(name, ())) // 2

    def names(self) -> list[str]:
        """Return the names of all threads."""
        return sorted({*self._threads, *self._systems})


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
