"""The seam between MTOR and what makes a model answer.

A backend runs inside a worker, one instance a model, in as many threads at once as the model has
slots. Others join through the entry point group ``mtor.backends``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any, ClassVar, Protocol

import msgspec
from msgspec import Meta

from mtor_kernel.protocol.account import Count, RateCard, Usage
from mtor_kernel.protocol.identity import Role
from mtor_kernel.protocol.query import Modality, ModelName, Options, Part, Query, Weights


class ModelSpec(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One model of the catalogue: who makes it answer, how, and at what price."""

    name: ModelName
    modality: Modality
    #: Name in the entry point group ``mtor.backends``.
    backend: Annotated[str, Meta(min_length=1, max_length=100)]
    rates: RateCard
    description: str = ""
    #: Attempts that may run at once in one worker.
    slots: Annotated[int, Meta(ge=1, le=10_000)] = 1
    #: Input and output tokens together that the model can hold; ``None``: not bound by tokens.
    context_tokens: Annotated[int, Meta(ge=1)] | None = None
    #: Output tokens of an answer whose query sets no ``max_tokens``, and the most it may set.
    default_max_tokens: Annotated[int, Meta(ge=1)] = 512
    max_output_tokens: Annotated[int, Meta(ge=1)] = 4096
    #: The most that a query may ask of it; what it may cost at worst is computed from these. A
    #: backend keeps to them. Pictures: width × height and steps. Transcription: the recording.
    #: Speech: characters of the text.
    max_pixels: Annotated[int, Meta(ge=256, le=4096 * 4096)] = 1024 * 1024
    max_steps: Annotated[int, Meta(ge=1, le=500)] = 50
    max_audio_seconds: Annotated[int, Meta(ge=1, le=86_400)] = 600
    max_characters: Annotated[int, Meta(ge=1, le=1_000_000)] = 4096
    #: A vision model that only looks: it cannot answer without a picture.
    needs_image: bool = False
    #: Who may ask it; empty: everybody. A sysop always may.
    roles: tuple[Role, ...] = ()
    #: Options that hold where a query sets none.
    defaults: Options = Options()
    #: Longest silence of a running attempt before it counts as failed, in seconds.
    silence_seconds: Annotated[float, Meta(gt=0, le=86_400)] = 300.0
    #: Bring it into memory when the worker starts.
    preload: bool = False
    #: Run it in a process of its own, so that a crash or a hang of it leaves the worker alive.
    isolate: bool = False
    #: What it takes of a worker's RAM and of its GPU's memory while it is loaded, in MiB. 0:
    #: nothing worth counting, as of a model that answers elsewhere.
    memory_mb: Annotated[int, Meta(ge=0)] = 0
    vram_mb: Annotated[int, Meta(ge=0)] = 0
    #: It stands for every model that its backend finds on the worker's side; each is served under
    #: this name, a slash and its own, at this price.
    discover: bool = False
    #: The backend's own settings: a file's path, a URL, the name of an environment variable.
    settings: dict[str, Any] = {}


class Delta(msgspec.Struct, frozen=True):
    """The next piece of an answer: words, or one other part."""

    text: str = ""
    part: Part | None = None
    #: Output tokens in it; what a cancelled query is charged for.
    tokens: Count = 1


class Step(msgspec.Struct, frozen=True):
    """How far it is, 0 to 1; `preview` is a small picture (PNG, at most 64 KiB)."""

    fraction: float
    note: str = ""
    preview: bytes = b""


class Done(msgspec.Struct, frozen=True):
    """The last thing a backend yields: the real usage, and why it ended."""

    usage: Usage
    finish_reason: str = "stop"
    #: What a service says that has answered: its model's name and version.
    weights: Weights = ""


class Context(Protocol):
    """What a backend may ask of the worker while it answers one query."""

    @property
    def cancelled(self) -> bool:
        """Whether to stop. The worker looks too, between two things that the backend yields."""

    def on_cancel(self, stop: Callable[[], None]) -> None:
        """Have `stop` called, once and from another thread, when the query is cancelled.

        For a backend that waits inside a library: close the socket it waits on. Called at once if
        the query is cancelled already.
        """

    def read_blob(self, blob: str) -> bytes:
        """Return the bytes of a blob that the query names."""

    def write_blob(self, content: bytes, mime: str) -> str:
        """Keep `content` for the query's owner and return its blob id."""


class Backend(Protocol):
    """What makes one model answer. Imports that cost are made inside the methods."""

    #: Modalities it can serve.
    modalities: ClassVar[frozenset[Modality]]

    def __init__(self, spec: ModelSpec) -> None:
        """Take the model's entry; touch nothing yet."""

    def missing(self) -> str:
        """Return why this machine cannot serve the model, as a sentence; empty if it can.

        Looks without loading: for a package, a file, a program, an environment variable.
        """

    def load(self) -> None:
        """Bring the model into memory. Called before the first query, and again harmlessly."""

    def stream(self, query: Query, context: Context) -> Iterator[Delta | Step | Done]:
        """Answer: yield pieces as they are made, and last of all one :class:`Done`.

        Raises
        ------
        MemoryError
            It does not fit; the worker frees the model and lives.
        RealmError
            For a sentence that the user may see; anything else is shown as a failed backend.
        """

    def unload(self) -> None:
        """Take the model out of memory. Called again harmlessly."""
