"""``v1``: OpenAI's dialect, so that its clients work unchanged, in the same queue as everybody."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import TYPE_CHECKING, Any

from tornado.iostream import StreamClosedError

from mtor_kernel.gateway.base import Gate, Nowhere
from mtor_kernel.gateway.failures import status_of
from mtor_kernel.gateway.openai_answers import Form, Model
from mtor_kernel.gateway.openai_forms import ChatRequest, Translation, error_form, translate
from mtor_kernel.gateway.queries import one_key
from mtor_kernel.gateway.sse import EventStream, event
from mtor_kernel.protocol.codec import MAX_FRAME_BYTES, encode
from mtor_kernel.protocol.errors import (
    ErrorInfo,
    QueryCancelled,
    RealmError,
    UnknownModel,
    WorkerLost,
    from_info,
)
from mtor_kernel.protocol.identity import SCOPE_QUERY
from mtor_kernel.protocol.ngram import (
    Cancelled,
    Chunk,
    Failed,
    RealmNGram,
    Requeued,
    Settled,
)

if TYPE_CHECKING:
    from mtor_kernel.realm.followers import Follower


class Dialect(Gate):
    """Says its errors as OpenAI does."""

    def shape(self, status: int, info: ErrorInfo) -> tuple[int, Any]:
        """Return status and body of an error's answer."""
        status, body, again = error_form(status, info)
        if not again:
            self.set_header("X-Should-Retry", "false")
        return status, body


class V1Nowhere(Dialect, Nowhere):
    """What of the dialect is not there."""

    scope = SCOPE_QUERY


class V1Models(Dialect):
    """``v1/models``."""

    scope = SCOPE_QUERY

    def get(self) -> None:
        """List every name that one may ask for."""
        data = [Model.of(model) for model in self.gateway.realm.models()]
        self.reply({"object": "list", "data": data})


class V1Model(Dialect):
    """``v1/models/{model}``."""

    scope = SCOPE_QUERY

    def get(self, name: str) -> None:
        """Return it."""
        for model in self.gateway.realm.models():
            if model.name == name:
                self.reply(Model.of(model))
                return
        raise UnknownModel(f"There is no model {name[:100]!r}: v1/models lists what there is.")


class ChatCompletions(EventStream, Dialect):
    """``v1/chat/completions``: one query, answered at its end or as it comes.

    The query lives as long as somebody waits for it: when the client leaves, it is cancelled.
    """

    scope = SCOPE_QUERY
    #: Whether headers were sent.
    _begun = False
    #: Whether the query would be nobody's if this ended now.
    _abandoned = False

    @property
    def max_body_bytes(self) -> int:
        """Pictures travel inside the JSON."""
        return self.gateway.limits.max_openai_bytes

    async def post(self) -> None:
        """Ask, and answer."""
        request = self.said(ChatRequest)
        asked = await self._translate(request)
        for picture in asked.pictures.values():
            await self.gateway.realm.keep(self.user, picture.content, picture.mime)
        key = one_key(None, self.request.headers.get("Idempotency-Key") or uuid.uuid4().hex)
        done = await self.gateway.realm.submit(self.user, asked.query, key)
        # Whoever sends a key again joins another request's query, and does not end it by leaving.
        self._abandoned = not done.repeated
        self.set_header("X-MTOR-Query", done.query)
        follower = self.gateway.realm.follow(self.user)
        try:
            await follower.add(done.query)
            form = Form(done.query, done.model, time.time(), usage=request.wants_usage)
            await (self._stream if request.stream else self._whole)(follower, form)
        except (StreamClosedError, TimeoutError):
            return
        finally:
            self.stop_hearing(follower)
            if self._abandoned:
                await self.gateway.realm.cancel(self.user, done.query)

    async def _translate(self, request: ChatRequest) -> Translation:
        if self._received <= MAX_FRAME_BYTES:
            return translate(request)
        # Pictures of some megabytes: others need not wait until they are decoded and hashed.
        return await asyncio.to_thread(translate, request)

    async def _whole(self, follower: Follower, form: Form) -> None:
        words: list[str] = []
        while not self.left:
            for ngram in await self.hear(follower, None):
                if isinstance(ngram, Chunk):
                    words.append(ngram.text)
                elif isinstance(ngram, Requeued):
                    words.clear()
                elif end := self._ended(ngram):
                    usage = end.charge.usage
                    self.reply(form.whole("".join(words), end.finish_reason, usage))
                    return

    async def _stream(self, follower: Follower, form: Form) -> None:
        try:
            await self._pass_on(follower, form)
        except RealmError as error:
            if not self._begun:
                raise
            _, body, _ = error_form(status_of(error), error.info())
            await self.push(event(encode(body)))

    async def _pass_on(self, follower: Follower, form: Form) -> None:
        limits, spoken = self.gateway.limits, False
        while not self.left:
            patience = limits.heartbeat_seconds if self._begun else limits.patience_seconds
            ngrams = await self.hear(follower, patience)
            if not ngrams and not self.left:
                await self._open(form)
                await self.beat()
            for ngram in ngrams:
                if isinstance(ngram, Chunk):
                    spoken = True
                    await self._open(form)
                    await self.push(event(encode(form.words(ngram.text))))
                elif isinstance(ngram, Requeued) and spoken:
                    raise WorkerLost("The worker was lost in mid-answer: ask again.")
                elif end := self._ended(ngram):
                    await self._open(form)
                    await self.push(_ending(form, end))
                    return

    async def _open(self, form: Form) -> None:
        """Send the headers and who speaks, once. From here on an error is an event."""
        if not self._begun:
            self._begun = True
            self.begin()
            await self.push(event(encode(form.opening())))

    def _ended(self, ngram: RealmNGram) -> Settled | None:
        """Return the end of a query that was answered; raise why another has none."""
        if isinstance(ngram, Settled | Failed | Cancelled):
            self._abandoned = False
        if isinstance(ngram, Failed):
            raise from_info(ngram.error)
        if isinstance(ngram, Cancelled):
            raise QueryCancelled("The query was cancelled.")
        return ngram if isinstance(ngram, Settled) else None


def _ending(form: Form, end: Settled) -> bytes:
    pieces = [form.closing(end.finish_reason)]
    if form.with_usage:
        pieces.append(form.consumed(end.charge.usage))
    return b"".join(event(encode(piece)) for piece in pieces) + event(b"[DONE]")
