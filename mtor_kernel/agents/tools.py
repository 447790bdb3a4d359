"""The tools, one class each: its docstring and its fields are what an agent is told of it."""

from __future__ import annotations

import asyncio
import inspect
from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from mtor_kernel.agents.files import Roots
from mtor_kernel.client.aio import RealmClient
from mtor_kernel.client.modalities import WHAT_IS_IT
from mtor_kernel.protocol.account import show_credits
from mtor_kernel.protocol.errors import BadInput, NotFound
from mtor_kernel.protocol.lifecycle import ENDS
from mtor_kernel.protocol.query import Query
from mtor_kernel.protocol.views import QueryInfo

#: How many of one's own queries the queue is searched for.
LATEST_QUERIES = 50

Words = Annotated[str, Meta(min_length=1, description="What to ask, or to do.")]
Model = Annotated[str, Meta(description="A name that the tool `models` lists.")]
Seed = Annotated[int, Meta(description="The same seed gives the same answer.")]
Picture = Annotated[
    str,
    Meta(
        min_length=1,
        description="A PNG, JPEG, GIF or WebP: the path of a file below a root of this server, or "
        "its bytes as `data:image/png;base64,…`.",
    ),
]
Sound = Annotated[
    str,
    Meta(
        min_length=1,
        description="A WAV, MP3, Ogg, FLAC, MP4 or WebM: the path of a file below a root of this "
        "server, or its bytes as `data:audio/wav;base64,…`.",
    ),
]
Details = Annotated[
    bool, Meta(description="Add what was found as JSON: boxes with scores, segments with times.")
]


class Tool(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an agent may call; its fields are the arguments."""

    @classmethod
    def tool_name(cls) -> str:
        """Return the name that it is called by."""
        return cls.__name__.lower()

    @classmethod
    def description(cls) -> str:
        """Return what an agent is told of it."""
        return inspect.cleandoc(cls.__doc__ or "").replace("\n", " ")

    @classmethod
    def schema(cls) -> dict[str, Any]:
        """Return the JSON schema of its arguments."""
        _, known = msgspec.json.schema_components([cls])
        schema = dict(known[cls.__name__])
        for spare in ("title", "description"):
            schema.pop(spare, None)
        return schema


class Asking(Tool, frozen=True):
    """A tool that asks a query; it costs credits."""

    #: Fields that are no options of the query.
    OWN: ClassVar[frozenset[str]] = frozenset(
        {"prompt", "model", "system", "pictures", "picture", "sound", "text", "details"}
    )

    @abstractmethod
    async def query(self, realm: RealmClient, roots: Roots) -> Query:
        """Return the query, its pictures and sounds sent to the realm."""

    @property
    def options(self) -> dict[str, Any]:
        """The options of the query that were given."""
        given = {name: getattr(self, name) for name in self.__struct_fields__}
        return {
            name: value
            for name, value in given.items()
            if name not in self.OWN and value is not UNSET
        }

    @property
    def wants_details(self) -> bool:
        """Whether what was found shall be shown as JSON too."""
        return bool(getattr(self, "details", False))


class Ask(Asking, frozen=True):
    """Ask a language model of the realm, and return its answer. It knows nothing of this
    conversation: give it all that it needs.
    """

    prompt: Words
    model: Model = "chat"
    system: Annotated[str, Meta(description="How the model shall behave.")] = ""
    max_tokens: Annotated[int, Meta(description="The longest answer.")] | UnsetType = UNSET
    temperature: Annotated[float, Meta(description="0 to 2.")] | UnsetType = UNSET
    seed: Seed | UnsetType = UNSET
    json_schema: (
        Annotated[dict[str, Any], Meta(description="A schema that the answer must match.")]
        | UnsetType
    ) = UNSET

    async def query(self, realm: RealmClient, roots: Roots) -> Query:
        return await realm.prepare(self.prompt, self.model, system=self.system, **self.options)


class See(Asking, frozen=True):
    """Ask about pictures: what they show, which text stands in them."""

    pictures: Annotated[list[Picture], Meta(min_length=1, max_length=8)]
    prompt: Words = WHAT_IS_IT
    model: Model = "vision"
    max_tokens: Annotated[int, Meta(description="The longest answer.")] | UnsetType = UNSET
    details: Details = False

    async def query(self, realm: RealmClient, roots: Roots) -> Query:
        found = [await asyncio.to_thread(roots.media, one, "image") for one in self.pictures]
        return await realm.prepare(self.prompt, self.model, attach=found, **self.options)


class Imagine(Asking, frozen=True):
    """Draw a picture from words, and from another picture if one is given."""

    prompt: Words
    model: Model = "image"
    picture: Picture | UnsetType = UNSET
    width: Annotated[int, Meta(description="In pixels.")] | UnsetType = UNSET
    height: Annotated[int, Meta(description="In pixels.")] | UnsetType = UNSET
    steps: Annotated[int, Meta(description="More take longer.")] | UnsetType = UNSET
    negative_prompt: Annotated[str, Meta(description="What to keep out.")] | UnsetType = UNSET
    strength: (
        Annotated[float, Meta(description="How far to leave the picture, 0 to 1.")] | UnsetType
    ) = UNSET
    seed: Seed | UnsetType = UNSET

    async def query(self, realm: RealmClient, roots: Roots) -> Query:
        given = [] if self.picture is UNSET else [self.picture]
        found = [await asyncio.to_thread(roots.media, one, "image") for one in given]
        return await realm.prepare(self.prompt, self.model, attach=found, **self.options)


class Speak(Asking, frozen=True):
    """Speak a text, and return the sound."""

    text: Annotated[str, Meta(min_length=1, description="What to say.")]
    model: Model = "speech"
    voice: Annotated[str, Meta(description="A voice of the model.")] | UnsetType = UNSET
    speed: Annotated[float, Meta(description="0.25 to 4; 1 is usual.")] | UnsetType = UNSET
    language: Annotated[str, Meta(description="Such as `en`.")] | UnsetType = UNSET

    async def query(self, realm: RealmClient, roots: Roots) -> Query:
        return await realm.prepare(self.text, self.model, **self.options)


class Transcribe(Asking, frozen=True):
    """Write down what is said in a recording."""

    sound: Sound
    model: Model = "transcription"
    language: Annotated[str, Meta(description="Such as `en`.")] | UnsetType = UNSET
    details: Details = False

    async def query(self, realm: RealmClient, roots: Roots) -> Query:
        found = await asyncio.to_thread(roots.media, self.sound, "audio")
        return await realm.prepare("", self.model, attach=[found], **self.options)


class Looking(Tool, frozen=True):
    """A tool that only looks; it costs nothing."""

    @abstractmethod
    async def look(self, realm: RealmClient) -> dict[str, Any]:
        """Return what is there, as plain values."""


class Models(Looking, frozen=True):
    """List the models that may be asked, what each is for, and whether somebody serves it now.
    Costs nothing.
    """

    async def look(self, realm: RealmClient) -> dict[str, Any]:
        found = await realm.models()
        return {"models": [msgspec.to_builtins(one) for one in found]}


class Queue(Looking, frozen=True):
    """Show who waits for what: the depth of every lane and about how long a query would wait,
    the queries of one's own that are under way, and one's credits and quotas. Costs nothing.
    """

    async def look(self, realm: RealmClient) -> dict[str, Any]:
        state, me, latest = await asyncio.gather(
            realm.queue(), realm.me(), realm.history(limit=LATEST_QUERIES)
        )
        return {
            "admission_open": state.admission_open,
            "lanes": [msgspec.to_builtins(lane) for lane in state.lanes],
            "mine": [_under_way(one) for one in latest if one.stage not in ENDS],
            "me": {
                "user": me.user,
                "role": str(me.role),
                "balance_credits": show_credits(me.balance_micro),
                "held_credits": show_credits(me.held_micro),
                "unlimited": me.unlimited,
                "quotas": [msgspec.to_builtins(one) for one in me.quotas],
            },
        }


def _under_way(query: QueryInfo) -> dict[str, Any]:
    """Return where a query stands; not its words, which may be none of an agent's business."""
    return {
        "id": query.id,
        "model": query.model,
        "stage": str(query.stage),
        "position": query.position,
        "eta_seconds": query.eta_seconds,
    }


TOOLS: dict[str, type[Tool]] = {
    kind.tool_name(): kind for kind in (Ask, See, Imagine, Speak, Transcribe, Queue, Models)
}


def called(name: str, arguments: Mapping[str, Any] | None) -> Tool:
    """Return the call of a tool. A ``null`` is taken as left out: many agents send them.

    Raises
    ------
    NotFound
        There is no such tool.
    BadInput
        The arguments are none that it takes; says which.
    """
    if name not in TOOLS:
        raise NotFound(f"There is no tool {name!r}: there are {', '.join(TOOLS)}.")
    given = {key: value for key, value in (arguments or {}).items() if value is not None}
    try:
        return msgspec.convert(given, TOOLS[name])
    except msgspec.ValidationError as error:
        raise BadInput(f"The tool {name!r} cannot be called so: {error}.") from None
