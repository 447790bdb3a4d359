"""A conversation in OpenAI's form, which vLLM, llama-server, Hugging Face and others speak too."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Iterable, Iterator
from typing import Any

from dask_workers.failures import broken
from dask_workers.remote import count_tokens, options
from mtor_kernel.protocol.account import Usage
from mtor_kernel.protocol.backend import Context, Delta, Done, ModelSpec, Step
from mtor_kernel.protocol.errors import BadInput
from mtor_kernel.protocol.query import Image, Message, Modality, Part, Query, Text

#: How often a model that thinks without speaking is said to be alive.
SIGN_SECONDS = 1.0
#: What a picture counts for where the service tells no tokens.
IMAGE_TOKENS = 1000
#: How a path begins that a server tells in place of a name.
_PATH = re.compile(r"[/\\~.]|[A-Za-z]:[/\\]")


def body(
    query: Query, spec: ModelSpec, context: Context, limit_parameter: str = "max_tokens"
) -> dict[str, Any]:
    """Return the request: the conversation and what was chosen, streamed."""
    chosen = options(query, spec)
    schema = chosen.json_schema
    wanted = {
        "messages": messages(query, spec, context),
        limit_parameter: chosen.max_tokens,
        "temperature": chosen.temperature,
        "top_p": chosen.top_p,
        "seed": chosen.seed,
        "stop": list(chosen.stop) or None,
        "response_format": schema and response_format(schema),
    }
    return {name: value for name, value in wanted.items() if value is not None}


def response_format(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the line of a request that holds an answer to a schema."""
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


def messages(query: Query, spec: ModelSpec, context: Context) -> list[dict[str, Any]]:
    """Return the conversation; pictures become ``data:`` URLs."""
    return [
        {"role": turn.role, "content": _content(turn, spec, context)} for turn in query.messages
    ]


def _content(turn: Message, spec: ModelSpec, context: Context) -> Any:
    check_parts(turn, spec)
    if all(isinstance(part, Text) for part in turn.parts):
        return turn.text
    return [_piece(part, context) for part in turn.parts]


def check_parts(turn: Message, spec: ModelSpec) -> None:
    """Refuse what the model cannot take."""
    sees = spec.modality is Modality.VISION
    if not all(isinstance(part, Text) or (sees and isinstance(part, Image)) for part in turn.parts):
        what = "words and pictures" if sees else "words"
        raise BadInput(f"The model {spec.name} takes {what} only: leave the rest out.")


def _piece(part: Part, context: Context) -> dict[str, Any]:
    if isinstance(part, Image):
        data = base64.b64encode(context.read_blob(part.blob)).decode()
        return {"type": "image_url", "image_url": {"url": f"data:{part.mime};base64,{data}"}}
    assert isinstance(part, Text)
    return {"type": "text", "text": part.text}


def answer(chunks: Iterable[Any], query: Query, spec: ModelSpec) -> Iterator[Delta | Step | Done]:
    """Yield what a stream of ``chat.completion.chunk`` objects says, and how it ended."""
    said, reason, usage, served = 0, "", None, ""
    signs = Signs()
    for chunk in chunks:
        usage = getattr(chunk, "usage", None) or usage
        served = served or served_by(chunk)
        for choice in chunk.choices or ():
            reason = choice.finish_reason or reason
            words = choice.delta.content
            if words:
                tokens = count_tokens(words)
                said += tokens
                yield Delta(words, tokens=tokens)
            elif signs.due():
                yield Step(0.0, "thinking")
    if not reason:
        raise broken(spec.name)
    yield Done(usage_of(usage, query, said), finish_reason(reason), served)


def served_by(told: Any) -> str:
    """Return what a service calls the model that answers, and the version that it tells of it.

    Of a path only the last name is told on: where a server keeps its files is its own affair.
    """
    model = getattr(told, "model", None)
    if not isinstance(model, str):
        return ""
    version = getattr(told, "system_fingerprint", None)
    name = re.split(r"[/\\]", model)[-1] if _PATH.match(model) else model
    words = [name, version if isinstance(version, str) else ""]
    return " ".join(word for word in words if word and word.isprintable())[:200]


def finish_reason(said: str) -> str:
    """Return why an answer ended in the realm's words."""
    return "length" if said in ("length", "max_tokens") else "stop"


def usage_of(told: Any, query: Query, said: int) -> Usage:
    """Return the service's own figures, or an estimate where it gave none."""
    if told is not None and told.prompt_tokens is not None:
        return Usage(
            input_tokens=told.prompt_tokens,
            output_tokens=getattr(told, "completion_tokens", 0) or 0,
        )
    return Usage(input_tokens=estimate_input(query), output_tokens=said, estimated=True)


def estimate_input(query: Query) -> int:
    """Estimate the tokens of a conversation."""
    pictures = sum(isinstance(part, Image) for turn in query.messages for part in turn.parts)
    words = sum(count_tokens(turn.text) + 4 for turn in query.messages)
    return words + pictures * IMAGE_TOKENS


class Signs:
    """Says when a sign of life is due."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def due(self) -> bool:
        now = time.monotonic()
        if now - self._last < SIGN_SECONDS:
            return False
        self._last = now
        return True
