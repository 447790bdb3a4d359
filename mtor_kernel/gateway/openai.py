"""``v1``: OpenAI's dialect, so that its clients work unchanged, in the same queue as everybody."""

from __future__ import annotations

import asyncio
import time

from mtor_kernel.gateway.base import Nowhere
from mtor_kernel.gateway.openai_answers import Form, Model
from mtor_kernel.gateway.openai_asking import Asking, Dialect
from mtor_kernel.gateway.openai_forms import ChatRequest, Translation, translate
from mtor_kernel.gateway.sse import event
from mtor_kernel.protocol.codec import MAX_FRAME_BYTES, encode
from mtor_kernel.protocol.errors import UnknownModel, WorkerLost
from mtor_kernel.protocol.identity import SCOPE_QUERY
from mtor_kernel.protocol.ngram import Chunk, Requeued, Settled
from mtor_kernel.protocol.query import Modality
from mtor_kernel.realm.followers import Follower


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


class ChatCompletions(Asking):
    """``v1/chat/completions``: one query, answered at its end or as it comes."""

    async def post(self) -> None:
        """Ask, and answer."""
        request = self.said(ChatRequest)
        translation = await self._translate(request)
        self.check_model(request.model, Modality.CHAT, Modality.VISION)
        for picture in translation.pictures.values():
            await self.take_in(picture.content, picture.mime)
        async with self.ask([translation.query]) as asked:
            form = Form(asked.queries[0], asked.model, time.time(), usage=request.wants_usage)
            if request.stream:
                await self.stream(self._pass_on(asked.follower, form))
            else:
                (answer,) = await self.answers(asked)
                end = answer.end
                form.model = end.model
                self.reply(form.whole(answer.text, end.finish_reason, end.charge.usage))

    async def _translate(self, request: ChatRequest) -> Translation:
        if self._received <= MAX_FRAME_BYTES:
            return translate(request)
        # Pictures of some megabytes: others need not wait until they are decoded and hashed.
        return await asyncio.to_thread(translate, request)

    async def _pass_on(self, follower: Follower, form: Form) -> None:
        limits, spoken = self.gateway.limits, False
        while not self.left:
            patience = limits.heartbeat_seconds if self.begun else limits.patience_seconds
            ngrams = await self.hear(follower, patience)
            if not ngrams and not self.left:
                await self._open(form)
                await self.beat()
            for ngram in ngrams:
                if isinstance(ngram, Chunk) and ngram.text:
                    spoken = True
                    await self._open(form)
                    await self.tell(form.words(ngram.text))
                elif isinstance(ngram, Requeued) and spoken:
                    raise WorkerLost("The worker was lost in mid-answer: ask again.")
                elif end := self.ended(ngram):
                    await self._open(form)
                    await self.push(_ending(form, end))
                    return

    async def _open(self, form: Form) -> None:
        """Send the headers and who speaks, once. From here on an error is an event."""
        if not self.begun:
            await self.tell(form.opening())


def _ending(form: Form, end: Settled) -> bytes:
    pieces = [form.closing(end.finish_reason)]
    if form.with_usage:
        pieces.append(form.consumed(end.charge.usage))
    return b"".join(event(encode(piece)) for piece in pieces) + event(b"[DONE]")
