"""Asking in the other modalities, for asynchronous code: pictures, sounds, vectors, APIs."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, overload

from mtor_kernel.client.media import Kind, Media, as_media
from mtor_kernel.client.question import question
from mtor_kernel.client.reply import Reply
from mtor_kernel.client.running import Running
from mtor_kernel.protocol.errors import BadInput
from mtor_kernel.protocol.ngram import QueryEvent
from mtor_kernel.protocol.query import Query
from mtor_kernel.protocol.vectors import check_one_model, embedding_query, groups, vectors_of

#: Called with each event of a query as it comes; a ``Progress`` may have a preview.
OnEvent = Callable[[QueryEvent], object]
#: Asked of a picture that comes without a question.
WHAT_IS_IT = "What is in this picture?"


class Modalities(ABC):
    """What a realm answers beside words. Each call waits for the whole answer.

    `how` is that of :func:`~mtor_kernel.client.question.question`: options, ``ttl_seconds``…
    """

    @abstractmethod
    async def submit(self, query: Query, key: str | None = None) -> Running:
        """Have the realm admit `query`."""

    @abstractmethod
    async def bring(self, media: Media) -> str:
        """Return the blob of a picture or a sound that a query will name."""

    async def prepare(
        self,
        prompt: str,
        model: str = "chat",
        *,
        attach: Sequence[Any] = (),
        kind: Kind | None = None,
        **how: Any,
    ) -> Query:
        """Return the query for a prompt with pictures and sounds, which are sent to the realm now.

        Parameters
        ----------
        attach
            What :func:`~mtor_kernel.client.media.as_media` takes: paths, bytes, images, figures…
        kind
            What each of them must be.

        Raises
        ------
        BadInput
            One of them is none.
        """
        # All are looked at before the first is sent.
        found = [await _media(value, kind) for value in attach]
        parts = [media.part(await self.bring(media)) for media in found]
        return question(prompt, model, parts=(*how.pop("parts", ()), *parts), **how)

    async def see(
        self,
        picture: Any,
        prompt: str = WHAT_IS_IT,
        model: str = "vision",
        *,
        key: str | None = None,
        on_event: OnEvent | None = None,
        **how: Any,
    ) -> Reply:
        """Ask about a picture, or a list of pictures."""
        query = await self.prepare(prompt, model, attach=listed(picture), kind="image", **how)
        return await self._carried(query, key, on_event)

    async def imagine(
        self,
        prompt: str,
        model: str = "image",
        *,
        picture: Any = None,
        key: str | None = None,
        on_event: OnEvent | None = None,
        **how: Any,
    ) -> Reply:
        """Have a picture drawn, from another `picture` if one is given.

        The answer names it by its blob: :meth:`RealmClient.download` returns its bytes.
        """
        given = [] if picture is None else [picture]
        query = await self.prepare(prompt, model, attach=given, kind="image", **how)
        return await self._carried(query, key, on_event)

    async def say(
        self,
        text: str,
        model: str = "speech",
        *,
        key: str | None = None,
        on_event: OnEvent | None = None,
        **how: Any,
    ) -> Reply:
        """Have a text spoken: a WAV for each sentence, by its blob."""
        return await self._carried(question(text, model, **how), key, on_event)

    async def listen(
        self,
        sound: Any,
        model: str = "transcription",
        *,
        key: str | None = None,
        on_event: OnEvent | None = None,
        **how: Any,
    ) -> Reply:
        """Have a recording written down: its text, and its segments as ``reply.data``."""
        query = await self.prepare("", model, attach=[sound], kind="audio", **how)
        return await self._carried(query, key, on_event)

    @overload
    async def embed(self, texts: str, model: str = ..., **options: Any) -> list[float]: ...
    @overload
    async def embed(
        self, texts: Sequence[str], model: str = ..., **options: Any
    ) -> list[list[float]]: ...

    async def embed(self, texts: Any, model: str = "embedding", **options: Any) -> Any:
        """Return the vector of a text, or those of a list of texts."""
        found: list[list[float]] = []
        models: list[str] = []
        for group in groups(texts_in(texts)):
            reply = await self._carried(embedding_query(group, model, **options), None, None)
            found += vectors_of(reply.parts, len(group))
            models.append(reply.model)
        check_one_model(models)
        return found[0] if isinstance(texts, str) else found

    async def api(self, name: str, /, **parameters: Any) -> Any:
        """Call a registered API and return its answer: a value where it is JSON, else its text."""
        return value_of(await self._carried(api_query(name, parameters), None, None))

    async def _carried(self, query: Query, key: str | None, on_event: OnEvent | None) -> Reply:
        async with await self.submit(query, key) as running:
            if on_event is not None:
                async for event in running.events():
                    on_event(event)
            return await running.answer()


def listed(value: Any) -> list[Any]:
    """Return several as they are and one as a list of one."""
    return value if isinstance(value, list) else [value]


def texts_in(given: Any) -> list[Any]:
    """Return what is to be embedded as a list; raise :class:`BadInput` for what is none."""
    try:
        return [given] if isinstance(given, str) else list(given)
    except TypeError:
        kind = type(given).__name__
        raise BadInput(f"A {kind} is no text: give one, or a list of texts.") from None


def api_query(name: str, parameters: dict[str, Any], prompt: str = "") -> Query:
    """Return the query that fills in an API's parameters; they travel as text."""
    return Query.ask(prompt, name, parameters={key: str(one) for key, one in parameters.items()})


def value_of(reply: Reply) -> Any:
    """Return what an API answered."""
    return reply.data[-1] if reply.data else reply.text


async def _media(value: Any, kind: Kind | None) -> Media:
    if isinstance(value, str | Path):
        return await asyncio.to_thread(as_media, value, kind)
    return as_media(value, kind)
