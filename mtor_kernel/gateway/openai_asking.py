"""What every address of OpenAI's dialect does that asks: submit, follow, and cancel who is left."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from tornado.iostream import StreamClosedError

from mtor_kernel.gateway.base import Gate
from mtor_kernel.gateway.failures import status_of
from mtor_kernel.gateway.openai_forms import error_form, known_model
from mtor_kernel.gateway.queries import one_key
from mtor_kernel.gateway.sse import EventStream, event
from mtor_kernel.protocol.codec import encode
from mtor_kernel.protocol.errors import BadInput, ErrorInfo, QueryCancelled, RealmError, from_info
from mtor_kernel.protocol.identity import SCOPE_QUERY
from mtor_kernel.protocol.ngram import Cancelled, Chunk, Failed, RealmNGram, Requeued, Settled
from mtor_kernel.protocol.query import Modality, Part, Query, Text, text_of
from mtor_kernel.realm.followers import Follower


class Answered(NamedTuple):
    """A whole answer, and its end."""

    parts: tuple[Part, ...]
    end: Settled

    @property
    def text(self) -> str:
        """Its words."""
        return text_of(self.parts)


class Asked(NamedTuple):
    """Queries under way, and who follows them."""

    follower: Follower
    queries: list[str]
    #: The model of the first, after aliases.
    model: str


class Dialect(Gate):
    """Says its errors as OpenAI does."""

    def shape(self, status: int, info: ErrorInfo) -> tuple[int, Any]:
        """Return status and body of an error's answer."""
        status, body, again = error_form(status, info)
        if not again:
            self.set_header("X-Should-Retry", "false")
        return status, body


class Asking(EventStream, Dialect):
    """Asks for as long as somebody waits: when the client leaves, its queries are cancelled."""

    scope = SCOPE_QUERY
    #: Whether headers were sent. From then on an error is an event of the stream.
    begun = False

    def initialize(self) -> None:
        """Nothing is asked yet."""
        super().initialize()
        #: Queries that would be nobody's if this ended now.
        self._unended: set[str] = set()

    @property
    def max_body_bytes(self) -> int:
        """Pictures travel inside the JSON."""
        return self.gateway.limits.max_openai_bytes

    def check_model(self, model: str, *modalities: Modality) -> None:
        """Raise what is wrong with a model's name, or with asking it here.

        Raises
        ------
        UnknownModel, NoModel
            There is none of this name, or nobody serves it.
        BadInput
            It does something else.
        """
        does = self.gateway.realm.lanes.route(known_model(model)).spec.modality
        if does not in modalities:
            wanted = " or ".join(modalities)
            raise BadInput(
                f"The model {model} does {does}, and this address takes {wanted}: v1/models lists "
                "what there is.",
                param="model",
            )

    @asynccontextmanager
    async def ask(self, queries: Sequence[Query]) -> AsyncIterator[Asked]:
        """Have queries admitted, all or none, and follow them; what is not ended then is cancelled.

        That the client has left in the meantime is no error.
        """
        realm = self.gateway.realm
        key = one_key(None, self.request.headers.get("Idempotency-Key") or uuid.uuid4().hex)
        follower = self.follow()
        try:
            done = []
            for at, query in enumerate(queries):
                one = await realm.submit(self.user, query, _key(key, at))
                done.append(one)
                # Whoever sends a key again joins another request's query, and does not end it by
                # leaving.
                self._unended |= set() if one.repeated else {one.query}
                await follower.add(one.query)
            self.set_header("X-MTOR-Query", ", ".join(one.query for one in done))
            try:
                yield Asked(follower, [one.query for one in done], done[0].model)
            except (StreamClosedError, TimeoutError):
                return
        finally:
            self.stop_hearing(follower)
            for left in self._unended:
                await realm.cancel(self.user, left)

    async def answers(self, asked: Asked) -> list[Answered]:
        """Wait for all answers and return them in the order in which they were asked.

        Raises
        ------
        QueryFailed
            One of them has ended without.
        StreamClosedError
            The client has left.
        """
        parts: dict[str, list[Part]] = {query: [] for query in asked.queries}
        ends: dict[str, Settled] = {}
        while len(ends) < len(parts):
            ngrams = await self.hear(asked.follower, None)
            if self.left:
                raise StreamClosedError
            for ngram in ngrams:
                if isinstance(ngram, Chunk):
                    parts[ngram.query] += parts_in(ngram)
                elif isinstance(ngram, Requeued):
                    parts[ngram.query].clear()
                elif end := self.ended(ngram):
                    ends[end.query] = end
        return [Answered(tuple(parts[query]), ends[query]) for query in asked.queries]

    def ended(self, ngram: RealmNGram) -> Settled | None:
        """Return the end of a query that was answered; raise why another has none."""
        if isinstance(ngram, Settled | Failed | Cancelled):
            self._unended.discard(ngram.query)
        if isinstance(ngram, Failed):
            raise from_info(ngram.error)
        if isinstance(ngram, Cancelled):
            raise QueryCancelled("The query was cancelled.")
        return ngram if isinstance(ngram, Settled) else None

    async def stream(self, telling: Awaitable[None]) -> None:
        """Let `telling` send its events; an error after the first is an event, too."""
        try:
            await telling
        except RealmError as error:
            if not self.begun:
                raise
            _, body, _ = error_form(status_of(error), error.info())
            await self.push(event(encode(body)))

    async def tell(self, value: Any) -> None:
        """Send one event, and before the first the headers."""
        if not self.begun:
            self.begun = True
            self.begin()
        await self.push(event(encode(value)))

    async def take_in(self, content: bytes, mime: str) -> str:
        """Keep what came inside the request as a blob of who asks, and return its id."""
        return (await self.gateway.realm.keep(self.user, content, mime)).id

    async def content(self, blob: str) -> bytes:
        """Return the bytes of a blob of who asks."""
        path, _ = await self.gateway.realm.blobs.open(self.user.name, blob)
        return await asyncio.to_thread(path.read_bytes)


def parts_in(chunk: Chunk) -> list[Part]:
    """Return what a chunk brings."""
    words: list[Part] = [Text(chunk.text)] if chunk.text else []
    return words + ([] if chunk.part is None else [chunk.part])


def _key(key: str, at: int) -> str:
    """Return the key of one of several queries of a request, as long as a key may be."""
    return key if at == 0 else f"{hashlib.sha256(key.encode()).hexdigest()}.{at}"
