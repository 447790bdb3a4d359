"""OpenAI's dialect and ours: pure translation of requests, answers and errors.

What OpenAI's clients send beyond what is known here is ignored, as many send much; a known field of
a wrong type, or one that asks for what no model here can do, is refused by name.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import Any

import msgspec

from mtor_kernel.protocol.codec import decode, encode
from mtor_kernel.protocol.errors import BadInput, ErrorInfo, UnknownModel, UnknownOption
from mtor_kernel.protocol.query import (
    Image,
    Message,
    Options,
    Part,
    Query,
    Text,
    make_options,
)

#: Roles of a conversation in their dialect, and ours.
_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
_MODEL = re.compile("[a-z0-9][a-z0-9._:/-]{0,99}", re.ASCII)
_DATA_URL = re.compile(r"data:(image/[a-z0-9.+-]+);base64,", re.ASCII | re.IGNORECASE)


class ImageUrl(msgspec.Struct, frozen=True):
    """Where a picture is: inside the URL itself, for us."""

    url: str


class Piece(msgspec.Struct, frozen=True):
    """One part of a message's content."""

    type: str
    text: str | None = None
    image_url: ImageUrl | None = None


class Turn(msgspec.Struct, frozen=True):
    """One message."""

    role: str
    content: str | list[Piece] | None = None
    tool_calls: list[Any] | None = None
    function_call: Any = None


class SchemaFormat(msgspec.Struct, frozen=True):
    """The schema that an answer must match."""

    schema: dict[str, Any] = {}


class ResponseFormat(msgspec.Struct, frozen=True):
    """What an answer must look like."""

    type: str
    json_schema: SchemaFormat | None = None


class StreamOptions(msgspec.Struct, frozen=True):
    """How to stream."""

    include_usage: bool | None = None


class ChatRequest(msgspec.Struct, frozen=True):
    """The body of ``chat/completions``, as far as it means something here."""

    model: str
    messages: list[Turn]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    n: int | None = None
    logprobs: bool | None = None
    response_format: ResponseFormat | None = None
    tools: list[Any] | None = None
    functions: list[Any] | None = None

    @property
    def wants_usage(self) -> bool:
        """Whether a stream ends with what it consumed."""
        return bool(self.stream_options and self.stream_options.include_usage)


class Picture(msgspec.Struct, frozen=True):
    """A picture that came inside a request."""

    content: bytes
    mime: str


class Translation(msgspec.Struct, frozen=True):
    """A request in our words; `pictures` are the blobs that its query names, by their ids."""

    query: Query
    pictures: dict[str, Picture]


def translate(request: ChatRequest) -> Translation:
    """Return the query that a chat request asks.

    Raises
    ------
    BadInput
        It asks for what is not there; ``details["param"]`` names the field.
    """
    _refuse_unserved(request)
    known_model(request.model)
    pictures: dict[str, Picture] = {}
    messages = tuple(
        _message(turn, f"messages[{at}]", pictures) for at, turn in enumerate(request.messages)
    )
    query = Query(messages, request.model, _options(request))
    # Once through the codec: what holds for queries that come as JSON holds for this one.
    return Translation(decode(encode(query), Query), pictures)


def known_model(name: str) -> str:
    """Return a model's name if one could have it."""
    if not _MODEL.fullmatch(name):
        raise UnknownModel(
            f"There is no model {name[:100]!r}: v1/models lists what there is.", param="model"
        )
    return name


def _refuse_unserved(request: ChatRequest) -> None:
    if request.n not in (None, 1):
        raise UnknownOption("One answer a request: leave n out, or send it again.", param="n")
    if request.logprobs:
        raise UnknownOption("No log probabilities here: leave logprobs out.", param="logprobs")
    for name in ("tools", "functions"):
        if getattr(request, name):
            raise UnknownOption(f"No tools here yet: leave {name} out.", param=name)
    if not request.messages:
        raise BadInput("There is no message: say what to ask.", param="messages")


def _message(turn: Turn, where: str, pictures: dict[str, Picture]) -> Message:
    role = _ROLES.get(turn.role)
    if role is None or turn.tool_calls or turn.function_call:
        known = ", ".join(_ROLES)
        raise BadInput(
            f"No tools here yet: a message's role is one of {known}, without calls.", param=where
        )
    match turn.content:
        case None:
            raise BadInput("A message must have content.", param=f"{where}.content")
        case str(text):
            parts: tuple[Part, ...] = (Text(text),)
        case pieces:
            parts = tuple(
                _part(piece, f"{where}.content[{at}]", pictures) for at, piece in enumerate(pieces)
            )
    return Message(role, parts)  # type: ignore[arg-type]  # the values of _ROLES are roles


def _part(piece: Piece, where: str, pictures: dict[str, Picture]) -> Part:
    if piece.type == "text" and piece.text is not None:
        return Text(piece.text)
    if piece.type == "image_url" and piece.image_url is not None:
        picture = _picture(piece.image_url.url, where)
        blob = hashlib.sha256(picture.content).hexdigest()
        pictures[blob] = picture
        return Image(blob, picture.mime)
    raise BadInput(
        f"A part of a message is {{'type': 'text', 'text': …}} or {{'type': 'image_url', "
        f"'image_url': {{'url': 'data:…'}}}}, not {piece.type[:40]!r}.",
        param=where,
    )


def _picture(url: str, where: str) -> Picture:
    head = _DATA_URL.match(url)
    if head is None:
        raise BadInput(
            "The realm fetches nothing from the network for anybody: send the picture itself, as "
            "data:image/png;base64,…",
            param=where,
        )
    try:
        content = base64.b64decode(url[head.end() :], validate=True)
    except (binascii.Error, ValueError):
        raise BadInput("The picture is not valid base64.", param=where) from None
    if not content:
        raise BadInput("The picture is empty.", param=where)
    return Picture(content, head[1].lower())


def _options(request: ChatRequest) -> Options:
    given: dict[str, Any] = {
        name: value
        for name in ("temperature", "top_p")
        if (value := getattr(request, name)) is not None
    }
    for limit in (request.max_tokens, request.max_completion_tokens):  # the later name wins
        if limit is not None:
            given["max_tokens"] = limit
    if request.seed is not None:
        # Theirs has 64 bits and a sign; the same seed is still the same seed.
        given["seed"] = request.seed % 2**32
    if request.stop:
        given["stop"] = [request.stop] if isinstance(request.stop, str) else request.stop
    schema = _schema(request.response_format)
    if schema is not None:
        given["json_schema"] = schema
    return options_of(given)


def options_of(given: dict[str, Any]) -> Options:
    """Return options in our words; an error names the field."""
    try:
        return make_options(given)
    except UnknownOption as error:
        raise UnknownOption(error.message, param=param_of(error.message)) from None


def _schema(form: ResponseFormat | None) -> dict[str, Any] | None:
    if form is None or form.type == "text":
        return None
    if form.type == "json_object":
        return {"type": "object"}
    if form.type == "json_schema" and form.json_schema is not None:
        return form.json_schema.schema
    raise UnknownOption(
        "response_format is text, json_object or json_schema with a schema.",
        param="response_format",
    )


def param_of(message: str) -> str:
    """Return the field that a decoder's sentence is about; empty where it names none.

    >>> param_of("Expected `str`, got `int` - at `$.messages[...].role`.")
    'messages[...].role'
    """
    found = re.search(r"`\$\.([^`]+)`", message)
    return found[1] if found else ""


#: Our codes that OpenAI has a word of its own for.
_CODES = {
    "unauthenticated": "invalid_api_key",
    "unknown_model": "model_not_found",
    "too_large": "context_length_exceeded",
    "quota_exceeded": "rate_limit_exceeded",
    "insufficient_funds": "insufficient_quota",
}
#: Our codes that their clients know by another status.
_STATUSES = {"unknown_model": 404, "too_large": 400, "insufficient_funds": 429}
_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
#: What does not pass by being sent again: their clients would, twice.
_FINAL = frozenset({"insufficient_funds", "key_conflict", "no_model", "cancelled"})


def error_form(status: int, info: ErrorInfo) -> tuple[int, dict[str, Any], bool]:
    """Return an error's status and body in OpenAI's form, and whether to try again may help."""
    status = _STATUSES.get(info.code, status)
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    if info.code == "insufficient_funds":
        kind = "insufficient_quota"
    param = info.details.get("param") or param_of(info.message) or None
    code = _CODES.get(info.code, info.code)
    body = {"message": info.message, "type": kind, "param": param, "code": code}
    return status, {"error": body}, info.code not in _FINAL
