"""The built-in sight: what is written on a picture and what is on it, in plain English and as data.

Three small networks and no language model: see ``docs/user/sight.md`` for what it is and is not.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from dask_workers.sight import networks, sentences
from dask_workers.sight.findings import Findings
from dask_workers.sight.question import Aim, Question, understand
from mtor_kernel.protocol.account import Usage
from mtor_kernel.protocol.backend import Context, Delta, Done, ModelSpec, Step
from mtor_kernel.protocol.errors import BadInput, UnknownOption
from mtor_kernel.protocol.query import Data, Image, Message, Modality, Query

if TYPE_CHECKING:
    from dask_workers.sight.look import Sight
    from dask_workers.sight.picture import Picture

_PACKAGES = ("numpy", "onnxruntime", "PIL", "rapidocr")
#: Of one message, the last ones.
_MOST_PICTURES = 4


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How it computes."""

    #: Threads that compute for each query.
    n_threads: Annotated[int, Meta(ge=1, le=64)] = 1
    data_dir: str = ""


#: Between two lines of writing: in Markdown one newline alone would run them together.
_NEW_LINE = "  \n"


class SightBackend:
    """Looks at the pictures of the last message that has any. A word is a token."""

    modalities: ClassVar[frozenset[Modality]] = frozenset({Modality.VISION})

    def __init__(self, spec: ModelSpec) -> None:
        self._spec = spec
        self._settings = msgspec.convert(spec.settings, Settings)
        self._sight: Sight | None = None

    def missing(self) -> str:
        for package in _PACKAGES:
            if importlib.util.find_spec(package) is None:
                return f"The package {package} is not installed: pip install 'mtor-kernel[sight]'."
        return networks.missing()

    def load(self) -> None:
        if self._sight is None:
            from dask_workers.sight.look import Sight

            self._sight = Sight(self._settings.n_threads)

    def unload(self) -> None:
        self._sight = None

    def files(self) -> list[Path]:
        """Return its networks."""
        return [networks.place(name) for name in networks.SHA256]

    def stream(self, query: Query, context: Context) -> Iterator[Delta | Step | Done]:
        if query.options.json_schema is not None:
            raise UnknownOption("This model answers in a form of its own: leave json_schema out.")
        from dask_workers.sight.picture import open_picture

        blobs = _pictures(query.messages)
        question = understand(query.messages[-1].text)
        speech = _Speech(query, self._spec)
        findings: list[Findings] = []
        for number, blob in enumerate(blobs, 1):
            picture = open_picture(context.read_blob(blob))
            title = f"Picture {number} of {len(blobs)}: " if len(blobs) > 1 else ""
            if number > 1:
                title = "\n\n" + title
            for piece in self._tell(picture, question, findings):
                if context.cancelled:
                    return
                if piece:
                    yield from speech.say(title + piece)
                    title = ""
        values = [found.data() for found in findings]
        yield Delta(part=Data(values[0] if len(values) == 1 else values), tokens=0)
        yield speech.done()

    def _tell(
        self, picture: Picture, question: Question, findings: list[Findings]
    ) -> Iterator[str]:
        """Yield the answer about one picture, a sentence or a line at a time.

        An empty piece is a moment at which a cancel may take effect. What was found goes to the
        end of `findings`.
        """
        self.load()
        assert self._sight is not None
        found = self._sight.glance(picture, question.noun)
        findings.append(found)
        between = ""
        if question.aim is not Aim.READ:
            for sentence in sentences.answer(question, found):
                yield between + sentence
                between = " "
        aloud = question.aim in (Aim.READ, Aim.DESCRIBE, Aim.OTHER)
        between = "\n\n" if between else ""
        yield ""
        for line in self._sight.read(picture):
            if line is None:
                yield ""
                continue
            found.text.append(line)
            before = f"{between}It says:\n\n" if len(found.text) == 1 else _NEW_LINE
            yield before + sentences.line(line) if aloud else ""
        if aloud and not found.text:
            yield between + sentences.no_writing()


class _Speech:
    """Says pieces until the limit of tokens or a stop word ends it."""

    def __init__(self, query: Query, spec: ModelSpec) -> None:
        self._limit = query.options.max_tokens or spec.default_max_tokens
        self._stop = query.options.stop
        self._asked = sum(len(message.text.split()) for message in query.messages)
        self._said = 0
        self._reason = ""

    def say(self, piece: str) -> Iterator[Delta]:
        if self._reason:
            return
        ends = [place for word in self._stop if (place := piece.find(word)) >= 0]
        if ends:
            piece, self._reason = piece[: min(ends)], "stop"
        words = piece.split()
        left = self._limit - self._said
        if len(words) > left:
            piece, self._reason = " ".join(words[:left]), "length"
        tokens = len(piece.split())
        self._said += tokens
        if piece:
            yield Delta(piece, tokens=tokens)

    def done(self) -> Done:
        usage = Usage(input_tokens=self._asked, output_tokens=self._said, estimated=True)
        return Done(usage, self._reason or "stop")


def _pictures(messages: tuple[Message, ...]) -> list[str]:
    """Return the blobs of the pictures to look at."""
    for message in reversed(messages):
        blobs: list[Any] = [part.blob for part in message.parts if isinstance(part, Image)]
        if blobs:
            return blobs[-_MOST_PICTURES:]
    raise BadInput("There is no picture to look at: send one with the question.")
