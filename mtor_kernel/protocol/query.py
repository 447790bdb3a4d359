"""A query and its answer: what is asked, of which model, with what options."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from mtor_kernel.protocol.errors import ErrorInfo, UnknownOption

#: The end of a pattern: to Python a bare ``$`` is also before a last newline.
END = r"$(?!\n)"
#: 128 random bits in hexadecimal.
QueryId = Annotated[str, Meta(pattern="^[0-9a-f]{32}" + END)]
#: SHA-256 of a blob's bytes, in hexadecimal.
BlobId = Annotated[str, Meta(pattern="^[0-9a-f]{64}" + END)]
#: The name a user asks for: a model, an alias or a fallback chain.
ModelName = Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9._:/-]{0,99}" + END)]
#: A client's own name for one submission; the same key never runs twice.
Key = Annotated[str, Meta(min_length=1, max_length=128, pattern="^[!-~]+" + END)]
#: A media type such as ``image/png``.
Mime = Annotated[str, Meta(max_length=100, pattern="^[a-z]+/[a-z0-9.+-]+" + END)]

#: How long a query may take from submission to end unless it says otherwise, in seconds.
DEFAULT_TTL_SECONDS = 600
#: Rows of a table that one query may ask about.
MAX_TABLE_ROWS = 256


class Modality(enum.StrEnum):
    """What goes in and what comes out."""

    CHAT = "chat"
    VISION = "vision"
    IMAGE = "image"
    TRANSCRIPTION = "transcription"
    SPEECH = "speech"
    EMBEDDING = "embedding"
    API = "api"


class Priority(enum.StrEnum):
    """The classes of a lane: somebody waits for it, or nobody does."""

    INTERACTIVE = "interactive"
    BATCH = "batch"


class Text(msgspec.Struct, frozen=True, tag_field="type", tag="text", forbid_unknown_fields=True):
    """Words."""

    text: str


class Image(msgspec.Struct, frozen=True, tag_field="type", tag="image", forbid_unknown_fields=True):
    """A picture, by its blob."""

    blob: BlobId
    mime: Mime = "image/png"


class Audio(msgspec.Struct, frozen=True, tag_field="type", tag="audio", forbid_unknown_fields=True):
    """A sound, by its blob."""

    blob: BlobId
    mime: Mime = "audio/wav"


class Data(msgspec.Struct, frozen=True, tag_field="type", tag="data", forbid_unknown_fields=True):
    """Structured findings: vectors, boxes, an API's JSON."""

    value: Any


class RowAnswer(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What came back for one row of a table: its parts, or why there are none."""

    #: Its position in the query's ``rows``.
    row: Annotated[int, Meta(ge=0, lt=MAX_TABLE_ROWS)]
    parts: tuple[Text | Data, ...] = ()
    #: As in :class:`Answer`.
    finish_reason: str = "stop"
    #: The row itself is at fault; the others are answered all the same.
    error: ErrorInfo | None = None


class Rows(msgspec.Struct, frozen=True, tag_field="type", tag="rows", forbid_unknown_fields=True):
    """Answers to some rows of a table."""

    answers: tuple[RowAnswer, ...]

    @property
    def text(self) -> str:
        """The words of the answers, a line each; empty where none has any."""
        lines = [text_of(one.parts) for one in self.answers]
        return "".join(f"{line}\n" for line in lines) if any(lines) else ""


Part = Text | Image | Audio | Data | Rows


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    parts: Annotated[tuple[Part, ...], Meta(min_length=1, max_length=256)]

    @property
    def text(self) -> str:
        """The words of the turn."""
        return text_of(self.parts)


class Options(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """How to answer. ``None`` leaves the choice to the model's entry in the catalogue."""

    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(gt=0, le=1)] | None = None
    max_tokens: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    seed: Annotated[int, Meta(ge=0, le=2**32 - 1)] | None = None
    stop: Annotated[tuple[Annotated[str, Meta(min_length=1)], ...], Meta(max_length=4)] = ()
    #: A JSON schema that the answer must match, where the backend can hold it to one.
    json_schema: dict[str, Any] | None = None
    #: Pictures: pixels, denoising steps, guidance scale and what to keep out.
    width: Annotated[int, Meta(ge=16, le=4096)] | None = None
    height: Annotated[int, Meta(ge=16, le=4096)] | None = None
    steps: Annotated[int, Meta(ge=1, le=500)] | None = None
    guidance: Annotated[float, Meta(ge=0, le=50)] | None = None
    negative_prompt: Annotated[str, Meta(max_length=4000)] | None = None
    #: Pictures from a picture: how far to leave it, 0 to 1.
    strength: Annotated[float, Meta(ge=0, le=1)] | None = None
    #: Speech: whose voice, how fast, which language (also of a recording).
    voice: Annotated[str, Meta(max_length=100)] | None = None
    speed: Annotated[float, Meta(ge=0.25, le=4)] | None = None
    language: Annotated[str, Meta(max_length=20)] | None = None
    #: An external API's parameters, by name.
    parameters: dict[str, str] | None = None

    def given(self) -> frozenset[str]:
        """Return the names of the options that were set."""
        return frozenset(
            name for name in self.__struct_fields__ if getattr(self, name) not in (None, ())
        )


_CHAT_OPTIONS = frozenset({"temperature", "top_p", "max_tokens", "seed", "stop", "json_schema"})
_IMAGE_OPTIONS = frozenset(
    {"width", "height", "steps", "guidance", "negative_prompt", "strength", "seed"}
)
#: Whose questions may go together in one query, a row each: small ones, of words alone.
IN_ROWS = frozenset({Modality.CHAT, Modality.EMBEDDING})
#: The options that each modality takes; any other is refused by name.
OPTIONS_OF: dict[Modality, frozenset[str]] = {
    Modality.CHAT: _CHAT_OPTIONS,
    Modality.VISION: _CHAT_OPTIONS,
    Modality.IMAGE: _IMAGE_OPTIONS,
    Modality.TRANSCRIPTION: frozenset({"language", "temperature"}),
    Modality.SPEECH: frozenset({"voice", "speed", "language", "seed"}),
    Modality.EMBEDDING: frozenset(),
    Modality.API: frozenset({"parameters"}),
}


class TableRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A row of a table that is asked about."""

    #: Stands in the place of the words of the last message.
    text: str
    #: The client's own name for it: a row is asked once under it, in whichever query it comes.
    key: Key


class Query(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One question from one user."""

    #: What to ask: a conversation for chat and vision, one user's turn for the others.
    messages: Annotated[tuple[Message, ...], Meta(min_length=1, max_length=1000)]
    model: ModelName = "chat"
    options: Options = Options()
    priority: Priority = Priority.INTERACTIVE
    #: Seconds from submission after which it fails as expired, wherever it stands.
    ttl_seconds: Annotated[int, Meta(ge=1, le=7 * 86_400)] = DEFAULT_TTL_SECONDS
    #: Small questions that differ in their words only and take turns on one worker, for as long as
    #: that has time for them; what it had no time for is free to be asked again. The messages are
    #: those of the first of them.
    rows: Annotated[tuple[TableRow, ...], Meta(max_length=MAX_TABLE_ROWS)] = ()

    @classmethod
    def ask(cls, prompt: str, model: str = "chat", *, system: str = "", **options: Any) -> Query:
        """Return the query for one prompt; `options` are the fields of :class:`Options`.

        Raises
        ------
        UnknownOption
            A name that is no option, or a value that the option cannot have.
        """
        turns = [Message("system", (Text(system),))] if system else []
        turns.append(Message("user", (Text(prompt),)))
        return cls(tuple(turns), model, make_options(options))

    def of_row(self, text: str) -> Query:
        """Return the query of one row alone."""
        turns = (*self.messages[:-1], Message("user", (Text(text),)))
        return msgspec.structs.replace(self, messages=turns, rows=())

    @property
    def prompt_bytes(self) -> int:
        """Length of all words in it, in UTF-8 bytes: no tokenizer makes more tokens of them."""
        return sum(len(message.text.encode()) for message in self.messages)

    @property
    def named(self) -> dict[str, type[Part]]:
        """The blobs that it names, each with the kind of part that it is."""
        return {
            part.blob: type(part)
            for message in self.messages
            for part in message.parts
            if isinstance(part, Image | Audio)
        }

    @property
    def blobs(self) -> frozenset[str]:
        """The blobs that it names."""
        return frozenset(self.named)


#: What an answer's weights are known by: ``sha256:`` and a hash, or what a service calls them.
Weights = Annotated[str, Meta(max_length=200)]


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What came back."""

    parts: tuple[Part, ...] = ()
    #: ``stop``: the model had finished; ``length``: the limit of tokens cut it; ``time``: there was
    #: no time for the rest of its rows.
    finish_reason: str = "stop"
    #: Of the model that gave it, where its worker could tell.
    weights: Weights = ""

    @property
    def text(self) -> str:
        """The words of the answer."""
        return text_of(self.parts)


def row_answers(parts: Iterable[Part]) -> list[RowAnswer]:
    """Return what the `parts` of an answer say to rows of a table, in that order."""
    return [one for part in parts if isinstance(part, Rows) for one in part.answers]


def answered(parts: Iterable[Part]) -> set[int]:
    """Return the rows of a table that the `parts` of an answer have answers to."""
    return {one.row for one in row_answers(parts) if one.error is None}


def text_of(parts: tuple[Part, ...]) -> str:
    """Return the words of `parts`, joined as they stand."""
    if len(parts) == 1 and isinstance(parts[0], Text):
        return parts[0].text
    return "".join(part.text for part in parts if isinstance(part, Text | Rows))


def make_options(given: dict[str, Any]) -> Options:
    """Return the options that a mapping names; raise :class:`UnknownOption` for what is none."""
    unknown = sorted(set(given) - set(Options.__struct_fields__))
    if unknown:
        known = ", ".join(Options.__struct_fields__)
        raise UnknownOption(f"There is no option {unknown[0]!r}. The options are: {known}.")
    try:
        return msgspec.convert(given, Options)
    except msgspec.ValidationError as error:
        raise UnknownOption(f"An option has a value it cannot have: {error}.") from None
