"""The realm, for plain code: notebooks, magics, scripts."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from mtor_kernel.client.aio import GIVE_UP_SECONDS, Quote, RealmClient
from mtor_kernel.client.frames import Spending, history_frame
from mtor_kernel.client.loop import LoopThread
from mtor_kernel.client.media import Kind, Media
from mtor_kernel.client.received import picture_of, sound_of
from mtor_kernel.client.reply import Reply, answer_of
from mtor_kernel.client.running import CONFIRM_SECONDS, Running
from mtor_kernel.client.sync_modalities import PlainModalities, ready
from mtor_kernel.client.sync_sysop import PlainSysop
from mtor_kernel.locate import Address, find_or_start
from mtor_kernel.protocol.ngram import Notice, QueryEvent, RealmState
from mtor_kernel.protocol.query import Audio, Image, Query
from mtor_kernel.protocol.views import ConversationInfo, Me, ModelInfo, QueryInfo, WorkerInfo

if TYPE_CHECKING:
    from pandas import DataFrame

    from mtor_kernel.client.mapping.report import Report
    from mtor_kernel.client.replay.replay import Replay

T = TypeVar("T")


def connect(url: str | None = None, token: str | None = None, *, ca: str | None = None) -> Realm:
    """Return the realm at `url`; without one, find it, or start a personal realm.

    Raises
    ------
    RealmUnreachable
        None was found and none could be started; says what to do.
    """
    realm = Realm(url, token, ca=ca)
    try:
        if realm.replay is None or not realm.replay.only:
            realm.address()
    except BaseException:
        realm.close()
        raise
    return realm


class Realm(PlainModalities):
    """A realm's plain face. Every call waits; interrupting one cancels what it waited for.

    It keeps an event loop in a thread of its own, so it works where a loop is running, as in a
    notebook. Nothing is opened, found or started before the first call. `url`, `token`, `ca` and
    `give_up_seconds` are those of :class:`RealmClient`; without a `url` the realm is looked for
    when it is needed, and a personal one started.

    Examples
    --------
    >>> with connect() as realm:  # doctest: +SKIP
    ...     for piece in realm.stream("Why is the sky blue?"):
    ...         print(piece, end="")
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        ca: str | None = None,
        find: Callable[[], Address] = find_or_start,
        give_up_seconds: float = GIVE_UP_SECONDS,
    ) -> None:
        self._client = RealmClient(
            url, token, ca=ca, find=find if url is None else None, give_up_seconds=give_up_seconds
        )
        self._loop = LoopThread("mtor-realm")
        #: What only the sysop may.
        self.sysop = PlainSysop(self._loop, self._client.sysop)
        # Also runs when the interpreter ends, and when nobody holds the realm any more.
        self._end = weakref.finalize(self, _hang_up, self._client, self._loop)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up. Admitted queries go on."""
        self._end()

    @property
    def replay(self) -> Replay | None:
        """What plays or records answers here; ``None`` where nothing does."""
        return self._client.replay

    def address(self) -> Address:
        """Return where the realm is, looking for it first if need be."""
        return self._loop.call(self._client.address)

    def submit(self, query: Query, key: str | None = None) -> RunningQuery:
        """Have the realm admit `query`; the same `key` never runs twice."""
        admitted: list[Running] = []

        async def submit() -> None:
            admitted.append(await self._client.submit(query, key))

        try:
            self._loop.call(submit)
        except BaseException:
            # An interrupt may come when the admission is there and nobody has it yet.
            for running in admitted:
                self._loop.call(running.cancel)
            raise
        return RunningQuery(self, self._loop, admitted[0])

    def prepare(
        self,
        prompt: str,
        model: str = "chat",
        *,
        attach: Sequence[Any] = (),
        kind: Kind | None = None,
        **how: Any,
    ) -> Query:
        """Return the query for a prompt; pictures and sounds are sent to the realm now."""
        made = ready(attach, kind)
        return self._loop.call(self._client.prepare, prompt, model, attach=made, **how)

    def ask(
        self, prompt: str, model: str = "chat", *, attach: Sequence[Any] = (), **how: Any
    ) -> Reply:
        """Ask and wait for the answer; `how` is that of :meth:`RealmClient.ask`."""
        made = ready(attach, None)
        return self._loop.call(self._client.ask, prompt, model, attach=made, **how)

    def stream(
        self, prompt: str, model: str = "chat", *, attach: Sequence[Any] = (), **how: Any
    ) -> Iterator[str]:
        """Ask and yield the words as they come; `how` is that of :meth:`RealmClient.stream`.

        Leaving the loop early cancels the query.
        """
        made = ready(attach, None)
        stream = partial(self._client.stream, prompt, model, attach=made, **how)
        yield from _drawn(self._loop, stream)

    def map(self, prompt: str, data: Any, model: str = "chat", **how: Any) -> Any:
        """Ask `prompt` of every row of `data`, and return the answers as what `data` is.

        `how` is that of :class:`~mtor_kernel.client.mapping.job.Job`: ``into``, ``schema``,
        ``ask_above``, ``on_error``… Interrupted, it cancels what it has under way; run again, it
        goes on. :attr:`last_map` tells how it went.
        """
        from mtor_kernel.client.mapping import Job, carry

        job = Job(prompt, data, model, **how)
        return carry(self._loop.call, self._client, job, self._shaped, self._client._keep_map)

    async def amap(self, prompt: str, data: Any, model: str = "chat", **how: Any) -> Any:
        """Do as :meth:`map`, and leave the caller's event loop free meanwhile."""
        from mtor_kernel.client.mapping import Job, carry_async

        job = await asyncio.to_thread(Job, prompt, data, model, **how)
        keep = self._client._keep_map
        return await carry_async(self._loop.acall, self._client, job, self._shaped, keep)

    @property
    def last_map(self) -> Report | None:
        """How the latest map went, or goes: counts, credits, errors by row, what there is."""
        return self._client.last_map

    def _shaped(self, reply: Reply) -> Any:
        """Return an answer as one value; a picture or a sound fetches its bytes when looked at."""
        if any(isinstance(part, Image) for part in reply.parts):
            return picture_of(reply, self.download)
        if any(isinstance(part, Audio) for part in reply.parts):
            return sound_of(reply, self.download)
        return answer_of(reply)

    def watch(self) -> Iterator[RealmState | Notice]:
        """Yield how the realm stands, and what the sysop says, as it changes."""
        yield from _drawn(self._loop, self._client.watch)

    def models(self) -> list[ModelInfo]:
        """Return the names that one may ask for."""
        return self._loop.call(self._client.models)

    def workers(self) -> list[WorkerInfo]:
        """Return who serves."""
        return self._loop.call(self._client.workers)

    def queue(self) -> RealmState:
        """Return the depth of every lane, and whether admission is open."""
        return self._loop.call(self._client.queue)

    def me(self) -> Me:
        """Return who one is here, and what one has."""
        return self._loop.call(self._client.me)

    def queries(self, search: str = "", limit: int = 20, **sought: Any) -> list[QueryInfo]:
        """Return one's own latest queries; `sought` is that of :meth:`RealmClient.history`."""
        return self._loop.call(self._client.history, search, limit, **sought)

    def history(self, search: str = "", limit: int = 1000, **sought: Any) -> DataFrame:
        """Return one's own latest queries as a DataFrame; pandas must be installed.

        `sought` is that of :meth:`RealmClient.history`: ``model``, ``status``, ``since``,
        ``until``.
        """
        return history_frame(self.queries(search, limit, **sought))

    def usage(self, days: int = 30) -> Spending:
        """Return what one spent by day and model: rows, ``.frame`` and ``.figure``."""
        return Spending(self._loop.call(self._client.usage, days))

    def conversations(self, limit: int = 50) -> list[ConversationInfo]:
        """Return one's own conversations, the latest first, without their queries."""
        return self._loop.call(self._client.conversations, limit)

    def conversation(self, id: str) -> ConversationInfo:
        """Return one conversation with its questions and answers."""
        return self._loop.call(self._client.conversation, id)

    def keep_turn(self, id: str, name: str, query: str) -> None:
        """Add an answered query to a conversation; see :meth:`RealmClient.keep_turn`."""
        self._loop.call(self._client.keep_turn, id, name, query)

    def rename_conversation(self, id: str, name: str) -> ConversationInfo:
        """Call a conversation something else."""
        return self._loop.call(self._client.rename_conversation, id, name)

    def forget_conversation(self, id: str) -> None:
        """Drop a conversation; its queries stay in the history."""
        self._loop.call(self._client.forget_conversation, id)

    def export_conversation(self, id: str, form: str = "markdown") -> str:
        """Return a conversation as a document: ``markdown`` or ``json``."""
        return self._loop.call(self._client.export_conversation, id, form)

    def info(self, id: str) -> QueryInfo:
        """Return one of one's own queries, with its question and its answer."""
        return self._loop.call(self._client.info, id)

    def quote(self, query: Query, count: int = 1) -> Quote:
        """Return what `query` would cost at most, and when the last of `count` would start."""
        return self._loop.call(self._client.quote, query, count)

    def cancel(self, id: str) -> None:
        """Stop one of one's own queries. One that has ended stays as it is."""
        self._loop.call(self._client.cancel, id)

    def upload(self, content: bytes | str | Path | Media, mime: str = "") -> str:
        """Keep bytes, or the file at a path, at the realm and return the blob's id."""
        return self._loop.call(self._client.upload, content, mime)

    def download(self, blob: str) -> bytes:
        """Return the bytes of a blob."""
        return self._loop.call(self._client.download, blob)


class RunningQuery:
    """A query under way. As a context manager it cancels the query when left before its end."""

    def __init__(self, realm: Realm, loop: LoopThread, running: Running) -> None:
        self._realm = realm  # hangs up when nobody holds it
        self._loop = loop
        self._running = running
        self.id = running.id
        #: The model whose lane it waits in, after aliases and fallbacks.
        self.model = running.model
        self.hold_micro = running.hold_micro

    def __repr__(self) -> str:
        return repr(self._running)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self.ended:
            self.cancel()

    @property
    def ended(self) -> bool:
        """Whether its end is known, or the realm was lost for good."""
        return self._running.ended

    def events(self) -> Iterator[QueryEvent]:
        """Yield what happens to it, up to and with its end; interrupted, cancel the query."""
        try:
            yield from _drawn(self._loop, self._running.events)
        except KeyboardInterrupt:
            self.cancel()
            raise

    def answer(self) -> Reply:
        """Wait for its end and return the answer; interrupted, cancel the query."""
        try:
            return self._loop.call(self._running.answer)
        except KeyboardInterrupt:
            self.cancel()
            raise

    def cancel(self, *, confirm_seconds: float = CONFIRM_SECONDS) -> bool:
        """Have it stopped and wait a moment for its end; tell whether that has come."""
        return self._loop.call(self._running.cancel, confirm_seconds=confirm_seconds)


def _drawn(loop: LoopThread, start: Callable[[], AsyncGenerator[T, None]]) -> Iterator[T]:
    """Yield what an asynchronous generator yields, one at a time."""
    source = start()
    try:
        while True:
            try:
                item = loop.call(source.__anext__)
            except StopAsyncIteration:
                return
            yield item
    finally:
        loop.call(source.aclose)


def _hang_up(client: RealmClient, loop: LoopThread) -> None:
    try:
        loop.call(client.close)
    except RuntimeError:
        pass  # forked since, or the interpreter is ending: there is nobody to talk to
    finally:
        loop.stop()
