"""Does a model take this query? Parts and options, held against its modality."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from mtor_kernel.protocol.backend import ModelSpec
from mtor_kernel.protocol.errors import BadInput, UnknownOption
from mtor_kernel.protocol.query import (
    IN_ROWS,
    OPTIONS_OF,
    Audio,
    Data,
    Image,
    Modality,
    Part,
    Priority,
    Query,
    Rows,
    Text,
)

#: Returns the name that one asks for in a modality; empty where the realm has none.
Instead = Callable[[Modality], str]

_KEY = re.compile("[!-~]{1,128}", re.ASCII)
_CONVERSATIONS = frozenset({Modality.CHAT, Modality.VISION})
#: What a question to each modality is made of, besides words.
_TAKES: dict[Modality, tuple[type[Part], ...]] = {
    Modality.CHAT: (),
    Modality.VISION: (Image,),
    Modality.IMAGE: (Image,),
    Modality.TRANSCRIPTION: (Audio,),
    Modality.SPEECH: (),
    Modality.EMBEDDING: (),
    Modality.API: (),
}
#: What each other part is called, and which modality is for it.
_CALLED: dict[type[Part], tuple[str, Modality | None]] = {
    Image: ("picture", Modality.VISION),
    Audio: ("recording", Modality.TRANSCRIPTION),
    Data: ("data part", None),
    Rows: ("rows of an answer", None),
}
_MIMES: dict[type[Part], tuple[str, ...]] = {
    Image: ("image/",),
    # Browsers call a recording of a microphone video/webm, some systems application/ogg.
    Audio: ("audio/", "video/", "application/ogg"),
}


def check_key(key: str) -> str:
    """Return an idempotency key that may be one.

    Raises
    ------
    BadInput
        It has characters that no key has, is too long, or is empty.
    """
    if not _KEY.fullmatch(key):
        raise BadInput(
            "Give the submission a key of its own, 1 to 128 printable characters, as 'key' or in "
            "the header Idempotency-Key: sent again with it, the query runs once."
        )
    return key


def check_query(query: Query, spec: ModelSpec, instead: Instead = lambda modality: "") -> None:
    """Hold a well-formed query against what a model takes.

    `instead` names a model for the sentence, where another modality would take it.

    Raises
    ------
    BadInput
        Nothing is asked, a part is of a kind or in a number that the model does not take, or a
        character that no store keeps (NUL) is in it.
    UnknownOption
        An option that this modality does not take.
    """
    _check_options(query, spec)
    if query.messages[-1].role != "user":
        raise BadInput("The last message must be the user's: add the question after it.")
    if len(query.messages) > 1 and spec.modality not in _CONVERSATIONS:
        raise BadInput(
            f"{_named(spec)} takes one question and no conversation: send the last message alone."
        )
    if any("\0" in message.text for message in query.messages):
        raise BadInput("The prompt holds a NUL character: remove it.")
    for part in _foreign(query):
        if not isinstance(part, _TAKES[spec.modality]):
            raise _not_taken(part, spec, instead)
        _check_mime(part)
    _check_numbers(query, spec, instead)
    if query.rows:
        _check_rows(query, spec)


def check_kept(blob: str, part: type[Part], mime: str) -> None:
    """Raise :class:`BadInput` where a blob is plainly not what a query takes it for.

    `mime` is what it was kept as; what is of no known kind may be anything.
    """
    kind = mime.partition("/")[0]
    if kind in ("image", "audio", "video", "text") and not mime.startswith(_MIMES[part]):
        noun, _ = _CALLED[part]
        raise BadInput(f"The blob {blob[:12]}… is {mime} and no {noun}: send another.")


def _check_options(query: Query, spec: ModelSpec) -> None:
    strange = sorted(query.options.given() - OPTIONS_OF[spec.modality])
    if strange:
        takes = ", ".join(sorted(OPTIONS_OF[spec.modality])) or "none"
        raise UnknownOption(f"{_named(spec)} takes no option {strange[0]!r}. It takes: {takes}.")


def _check_rows(query: Query, spec: ModelSpec) -> None:
    if spec.modality not in IN_ROWS:
        raise BadInput(f"{_named(spec)} takes one question at a time: send each row by itself.")
    if query.priority is not Priority.BATCH:
        raise BadInput("Rows are of the class batch: say priority = batch, or ask one by one.")
    if query.messages[-1].parts != (Text(query.rows[0].text),):
        raise BadInput("The last message is the first row: make its words the same.")
    for number, row in enumerate(query.rows):
        if not row.text.strip() or "\0" in row.text:
            wrong = "holds a NUL character" if row.text.strip() else "is empty"
            raise BadInput(f"The prompt of row {number} {wrong}: leave it out.", row=number)
    if len({row.key for row in query.rows}) < len(query.rows):
        raise BadInput("Two rows have one key: give each row a key of its own.")


def _foreign(query: Query) -> Iterator[Part]:
    """Yield what is no words; findings in an earlier answer are the model's own, and skipped."""
    for message in query.messages:
        for part in message.parts:
            own = isinstance(part, Data) and message.role == "assistant"
            if not isinstance(part, Text) and not own:
                yield part


def _check_numbers(query: Query, spec: ModelSpec, instead: Instead) -> None:
    last = query.messages[-1].parts
    words = [part.text for part in last if isinstance(part, Text)]
    said = any(text.strip() for text in words)
    count = len(last) - len(words)
    match spec.modality:
        case Modality.API:
            return
        case Modality.TRANSCRIPTION:
            if count != 1:
                raise BadInput(f"{_named(spec)} takes one recording at a time, not {count}.")
            if said:
                raise BadInput(f"{_named(spec)} takes a recording and no words: leave them out.")
            return
        case Modality.EMBEDDING:
            for number, text in enumerate(words, 1):
                if not text.strip():
                    raise BadInput(f"Text {number} of {len(words)} is empty: leave it out.")
        case Modality.IMAGE if count > 1:
            raise BadInput(f"{_named(spec)} starts from one picture at most, not {count}.")
        case Modality.VISION if spec.needs_image and not query.blobs:
            talks = instead(Modality.CHAT)
            raise BadInput(
                f"{_named(spec)} only looks at pictures, and there is none: add one"
                + (f", or ask {talks}." if talks else ".")
            )
    if not said and (spec.modality is not Modality.VISION or not count):
        raise BadInput("The prompt is empty: write what you want to ask.")


def _not_taken(part: Part, spec: ModelSpec, instead: Instead) -> BadInput:
    noun, modality = _CALLED[type(part)]
    if modality is None:
        return BadInput(f"{_named(spec)} takes no {noun}: write it as words.")
    other = instead(modality)
    hint = (
        f"ask {other}, which does" if other else "leave it out, or ask the sysop for one that does"
    )
    return BadInput(f"{_named(spec)} takes no {noun}: {hint}.")


def _check_mime(part: Part) -> None:
    kinds = _MIMES.get(type(part), ("",))
    mime = getattr(part, "mime", "")
    if not mime.startswith(kinds):
        noun, _ = _CALLED[type(part)]
        raise BadInput(f"A {noun} is {kinds[0]}…, not {mime}: say what it is, or send another.")


def _named(spec: ModelSpec) -> str:
    return f"The model {spec.name} ({spec.modality})"
