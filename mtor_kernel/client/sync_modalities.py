"""Asking in the other modalities, for plain code: pictures, sounds, vectors, APIs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, overload

from mtor_kernel.client.media import Kind, as_media
from mtor_kernel.client.modalities import WHAT_IS_IT, OnEvent, api_query, listed, texts_in, value_of
from mtor_kernel.client.received import Picture, Sound, picture_of, sound_of
from mtor_kernel.client.reply import Reply
from mtor_kernel.protocol.query import Query
from mtor_kernel.protocol.vectors import check_one_model, embedding_query, groups, vectors_of

if TYPE_CHECKING:
    from mtor_kernel.client.sync import RunningQuery


class PlainModalities(ABC):
    """What a realm answers beside words. Each call waits for the whole answer.

    `on_event` is called with each event as it comes, from the thread that waits: a ``Progress``
    may have a preview. `how` is that of :func:`~mtor_kernel.client.question.question`.
    """

    @abstractmethod
    def prepare(
        self,
        prompt: str,
        model: str = "chat",
        *,
        attach: Sequence[Any] = (),
        kind: Kind | None = None,
        **how: Any,
    ) -> Query:
        """Return the query for a prompt with pictures and sounds."""

    @abstractmethod
    def submit(self, query: Query, key: str | None = None) -> RunningQuery:
        """Have the realm admit `query`."""

    @abstractmethod
    def download(self, blob: str) -> bytes:
        """Return the bytes of a blob."""

    def see(
        self,
        picture: Any,
        prompt: str = WHAT_IS_IT,
        model: str = "vision",
        *,
        on_event: OnEvent | None = None,
        **how: Any,
    ) -> Reply:
        """Ask about a picture, or a list of them: paths, bytes, images, figures, arrays."""
        query = self.prepare(prompt, model, attach=listed(picture), kind="image", **how)
        return self._carried(query, on_event)

    def imagine(
        self,
        prompt: str,
        model: str = "image",
        *,
        picture: Any = None,
        on_event: OnEvent | None = None,
        **how: Any,
    ) -> Picture:
        """Have a picture drawn, from another `picture` if one is given."""
        given = [] if picture is None else [picture]
        query = self.prepare(prompt, model, attach=given, kind="image", **how)
        return picture_of(self._carried(query, on_event), self.download)

    def say(
        self,
        text: str,
        model: str = "speech",
        *,
        on_event: OnEvent | None = None,
        **how: Any,
    ) -> Sound:
        """Have a text spoken."""
        query = self.prepare(text, model, **how)
        return sound_of(self._carried(query, on_event), self.download)

    def listen(
        self,
        sound: Any,
        model: str = "transcription",
        *,
        on_event: OnEvent | None = None,
        **how: Any,
    ) -> Reply:
        """Have a recording written down: its text, and its segments as ``reply.data``."""
        query = self.prepare("", model, attach=[sound], kind="audio", **how)
        return self._carried(query, on_event)

    @overload
    def embed(self, texts: str, model: str = ..., **options: Any) -> list[float]: ...
    @overload
    def embed(
        self, texts: Sequence[str], model: str = ..., **options: Any
    ) -> list[list[float]]: ...

    def embed(self, texts: Any, model: str = "embedding", **options: Any) -> Any:
        """Return the vector of a text, or those of a list of texts."""
        found: list[list[float]] = []
        models: list[str] = []
        for group in groups(texts_in(texts)):
            reply = self._carried(embedding_query(group, model, **options), None)
            found += vectors_of(reply.parts, len(group))
            models.append(reply.model)
        check_one_model(models)
        return found[0] if isinstance(texts, str) else found

    def api(self, name: str, /, **parameters: Any) -> Any:
        """Call a registered API and return its answer: a value where it is JSON, else its text."""
        return value_of(self._carried(api_query(name, parameters), None))

    def _carried(self, query: Query, on_event: OnEvent | None) -> Reply:
        with self.submit(query) as running:
            if on_event is not None:
                for event in running.events():
                    on_event(event)
            return running.answer()


def ready(attach: Sequence[Any], kind: Kind | None) -> list[Any]:
    """Return what is to be sent as bytes; made here, since figures are drawn in one thread only."""
    return [as_media(value, kind) for value in attach]
