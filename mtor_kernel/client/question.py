"""Make a query of what a person types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from mtor_kernel.client.given import words
from mtor_kernel.protocol.codec import MAX_FRAME_BYTES, decode
from mtor_kernel.protocol.errors import BadInput, Malformed, TooLarge
from mtor_kernel.protocol.ngram import Submit
from mtor_kernel.protocol.query import (
    DEFAULT_TTL_SECONDS,
    Message,
    Part,
    Priority,
    Query,
    Text,
    make_options,
)

#: An earlier turn: a :class:`Message`, or ``{"role": "user", "content": "…"}``.
Turn = Message | Mapping[str, str]


def question(
    prompt: str,
    model: str = "chat",
    *,
    system: str = "",
    messages: Sequence[Turn] | None = None,
    parts: Sequence[Part] = (),
    ttl_seconds: int = DEFAULT_TTL_SECONDS,
    priority: Priority | str = Priority.INTERACTIVE,
    **options: Any,
) -> Query:
    """Return the query for `prompt`.

    Parameters
    ----------
    prompt
        What to ask. It comes last, after `messages`; with `parts` it may be empty.
    model
        A model, an alias or a fallback chain.
    system
        How the model shall behave; comes first.
    messages
        Earlier turns of the conversation.
    parts
        Pictures and sounds that belong to the prompt, by blob.
    options
        Fields of :class:`~mtor_kernel.protocol.query.Options`.

    Raises
    ------
    BadInput
        Something in it cannot be; says what.
    """
    # What is no text might become one in JSON: bytes as base64, a day as its digits.
    prompt, system = words("The prompt", prompt), words("system", system)
    turns = [Message("system", (Text(system),))] if system else []
    turns += [_turn(given) for given in messages or ()]
    said = () if parts and not prompt else (Text(prompt),)
    turns.append(Message("user", (*said, *parts)))
    made = Query(
        tuple(turns), model, make_options(options), _priority(priority), ttl_seconds=ttl_seconds
    )
    return checked(made)


def checked(query: Query, key: str = "k" * 128) -> Query:
    """Return `query` if it can be sent; what only the realm knows is for the realm to check.

    Structs made in Python aren't validated: a mistake shall show here, not after a round trip.
    """
    try:
        frame = msgspec.json.encode(Submit(key, query, id="0" * 16))
        decode(frame, Submit, limit=len(frame))
    except Malformed as error:
        raise Malformed(f"This is not a query that can be asked: {error.message}") from None
    except (TypeError, UnicodeEncodeError) as error:
        raise Malformed(f"This query cannot be written as JSON: {error}.") from None
    if len(frame) > MAX_FRAME_BYTES:
        raise TooLarge(
            f"The query is {len(frame):,} bytes long; at most {MAX_FRAME_BYTES:,} fit. Shorten it, "
            "or upload large content as a blob.",
            limit=MAX_FRAME_BYTES,
            used=len(frame),
        )
    return query


def _turn(given: Turn) -> Message:
    if isinstance(given, Message):
        return given
    try:
        role, content = given["role"], given["content"]
    except (KeyError, TypeError):
        raise BadInput('A message is {"role": "user", "content": "…"}, or a Message.') from None
    parts = [{"type": "text", "text": content}]
    try:
        return msgspec.convert({"role": role, "parts": parts}, Message, strict=True)
    except msgspec.ValidationError as error:
        raise BadInput(f"An earlier turn cannot be: {error}.") from None


def _priority(given: Priority | str) -> Priority:
    try:
        return Priority(given)
    except ValueError:
        known = " or ".join(Priority)
        raise BadInput(f"A query's priority is {known}, not {given!r:.40}.") from None
