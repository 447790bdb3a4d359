"""What a chat completion looks like in OpenAI's dialect, whole and in pieces."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from mtor_kernel.protocol.account import Usage
from mtor_kernel.protocol.views import ModelInfo


class Tokens(msgspec.Struct, frozen=True):
    """What was consumed."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int

    @classmethod
    def of(cls, usage: Usage) -> Tokens:
        """Return `usage` in their words."""
        asked, said = usage.input_tokens, usage.output_tokens
        return cls(asked, said, asked + said)


class Said(msgspec.Struct, frozen=True):
    """A whole answer."""

    content: str
    role: str = "assistant"
    refusal: None = None


class Choice(msgspec.Struct, frozen=True):
    """The only one."""

    message: Said
    finish_reason: str
    index: int = 0
    logprobs: None = None


class Completion(msgspec.Struct, frozen=True):
    """The body of an answer that is not streamed."""

    id: str
    created: int
    model: str
    choices: tuple[Choice, ...]
    usage: Tokens
    object: Literal["chat.completion"] = "chat.completion"


class Model(msgspec.Struct, frozen=True):
    """A name that one may ask for."""

    id: str
    created: int
    object: Literal["model"] = "model"
    owned_by: str = "mtor"

    @classmethod
    def of(cls, model: ModelInfo) -> Model:
        """Return `model` in their words. Nobody here knows when it was made."""
        return cls(model.name, 0)


class Form:
    """Makes the answers to one request."""

    def __init__(self, query: str, model: str, created: float, *, usage: bool = False) -> None:
        self.id = f"chatcmpl-{query}"
        self.model = model
        self.created = int(created)
        #: Whether usage was asked for: every piece has a field for it then, and the last has it.
        self.with_usage = usage

    def whole(self, text: str, finish_reason: str, usage: Usage) -> Completion:
        """Return the whole answer at once."""
        choice = Choice(Said(text), finish(finish_reason))
        return Completion(self.id, self.created, self.model, (choice,), Tokens.of(usage))

    def opening(self) -> dict[str, Any]:
        """Return the first piece: who speaks."""
        return self._piece({"role": "assistant", "content": ""})

    def words(self, text: str) -> dict[str, Any]:
        """Return a piece with words."""
        return self._piece({"content": text})

    def closing(self, finish_reason: str) -> dict[str, Any]:
        """Return the last piece: why it ended."""
        return self._piece({}, finish(finish_reason))

    def consumed(self, usage: Usage) -> dict[str, Any]:
        """Return the piece after the last: what was consumed."""
        return self._piece(None) | {"usage": Tokens.of(usage)}

    def _piece(self, delta: dict[str, str] | None, reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        piece: dict[str, Any] = {
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.model,
            "choices": [] if delta is None else [choice],
        }
        return piece | {"usage": None} if self.with_usage else piece


def finish(reason: str) -> str:
    """Return why an answer ended, as one of the reasons that their clients know."""
    return reason if reason in ("stop", "length", "content_filter") else "stop"
