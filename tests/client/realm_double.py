"""A realm in one file: speaks the whole protocol to clients, answers by rule, fails on demand.

Nothing is stored, scheduled or charged. What it does with a socket is real: frames are lost by
cutting the connection under them, a restart closes the port, and after it every running attempt is
void.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from mtor_kernel.protocol.account import Charge, Usage
from mtor_kernel.protocol.codec import decode, encode
from mtor_kernel.protocol.errors import NotFound, RealmError, Unauthenticated
from mtor_kernel.protocol.identity import Role
from mtor_kernel.protocol.ngram import (
    SUBPROTOCOL,
    Admitted,
    Cancel,
    Cancelled,
    Chunk,
    ClientNGram,
    Error,
    Failed,
    Hello,
    Queued,
    RealmNGram,
    RealmState,
    Refused,
    Requeued,
    Resume,
    Settled,
    Started,
    Submit,
    Unwatch,
    Watch,
    Welcome,
)
from mtor_kernel.protocol.query import Modality, Query
from mtor_kernel.protocol.views import LaneInfo, Me, ModelInfo, Page

STATE = RealmState(lanes=(LaneInfo("echo", waiting=3),), workers=())


def spoken(query: Query) -> list[str]:
    """The answer to a query, in pieces: what was asked, word by word."""
    words = query.messages[-1].text.split(" ")
    return [word + " " for word in words[:-1]] + words[-1:]


class Record:
    """One query."""

    def __init__(self, query: Query) -> None:
        self.id = secrets.token_hex(16)
        self.query = query
        self.attempt = 0
        self.running = False
        self.text = ""
        self.end: Settled | Failed | Cancelled | None = None
        self.work: asyncio.Task[None] | None = None


class RealmDouble:
    """The realm. Set a fault before, or while, a client talks to it."""

    def __init__(self) -> None:
        self.token = secrets.token_hex(8)
        self.epoch = 1
        self.answer: Callable[[Query], list[str]] = spoken
        #: Cut every socket after it was told so many events; 0: never.
        self.drop_after = 0
        #: Attempts that are lost after so many pieces, by their number.
        self.lost_attempts: dict[int, int] = {}
        #: Positions at which a chunk is not told the first time.
        self.swallowed: set[int] = set()
        #: Tell every chunk twice.
        self.stutter = False
        #: Take so many submissions without a word, and cut the socket.
        self.deaf = 0
        #: Refuse submissions with this.
        self.refusal: RealmError | None = None
        #: End queries with this.
        self.failure: RealmError | None = None
        #: Queries start while it is set.
        self.open = asyncio.Event()
        self.open.set()
        #: Pieces are made while it is set.
        self.flowing = asyncio.Event()
        self.flowing.set()
        #: Stop flowing, once, after so many pieces of an answer; 0: never.
        self.pause_after = 0
        #: Set when a cancel has come.
        self.cancelled = asyncio.Event()
        self.records: dict[str, Record] = {}
        self.keys: dict[str, Record] = {}
        self.sockets: set[Socket] = set()
        self.opened_sockets = 0
        #: Every command that came in.
        self.heard: list[ClientNGram] = []
        self.changed = asyncio.Condition()
        self.port = 0
        self._server: HTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    async def start(self) -> RealmDouble:
        shared: dict[str, Any] = {"realm": self}
        application = Application(
            [
                (r"/ngram", Socket, shared),
                (r"/api/(.*)", Api, shared),
                (r"/health", Health),
            ]
        )
        self._server = HTTPServer(application)
        sockets = bind_sockets(self.port, "127.0.0.1")
        self._server.add_sockets(sockets)
        self.port = sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        """Go away at once: no close frames, and running attempts are void."""
        assert self._server is not None
        self._server.stop()
        for socket in list(self.sockets):
            socket.cut()
        await self._server.close_all_connections()
        working = [record for record in self.records.values() if record.work is not None]
        for record in working:
            record.work.cancel()
        await asyncio.gather(*(record.work for record in working), return_exceptions=True)

    async def restart(self) -> None:
        await self.stop()
        self.epoch += 1
        await self.start()
        for record in self.records.values():
            if record.end is None:
                self._begin(record)

    def submit(self, submit: Submit) -> tuple[Record, bool]:
        if submit.key in self.keys:
            return self.keys[submit.key], True
        record = Record(submit.query)
        self.records[record.id] = self.keys[submit.key] = record
        self._begin(record)
        return record, False

    async def cancel(self, id: str) -> None:
        record = self.find(id)
        if record.end is None:
            if record.work is not None:
                record.work.cancel()
            record.running = False
            record.end = Cancelled(id, Charge(len(record.text)))
        self.cancelled.set()
        await self.tell()

    def find(self, id: str) -> Record:
        if id not in self.records:
            raise NotFound("You have no such query.")
        return self.records[id]

    async def tell(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    def _begin(self, record: Record) -> None:
        record.running, record.text = False, ""
        record.work = asyncio.create_task(self._work(record))

    async def _work(self, record: Record) -> None:
        await self.open.wait()
        while record.end is None:
            record.attempt, record.running, record.text = record.attempt + 1, True, ""
            await self.tell()
            lost = await self._speak(record)
            if lost:
                record.running, record.text = False, ""
            elif self.failure is not None:
                record.end = Failed(record.id, self.failure.info())
            else:
                usage = Usage(output_tokens=len(record.text))
                charge = Charge(len(record.text), usage)
                record.end = Settled(record.id, record.attempt, "echo", charge, "stop", 0.5, 0.25)
            await self.tell()

    async def _speak(self, record: Record) -> bool:
        for number, piece in enumerate(self.answer(record.query)):
            await self.flowing.wait()
            if number == self.lost_attempts.get(record.attempt):
                return True
            record.text += piece
            await self.tell()
            if number + 1 == self.pause_after:
                self.pause_after = 0
                self.flowing.clear()
            await asyncio.sleep(0)
        return record.attempt in self.lost_attempts


class Cursor:
    """How much of one query one socket was told."""

    def __init__(self, record: Record, attempt: int, seq: int) -> None:
        self.record = record
        self.attempt, self.seq = attempt, seq
        self.started = self.queued = False
        self.done = False

    def news(self) -> list[RealmNGram]:
        record = self.record
        current = record.attempt if record.running or record.end else record.attempt + 1
        if self.attempt and self.attempt != current and record.end is None:
            self.attempt, self.seq, self.started = current, 0, False
            return [Requeued(record.id, current, "its worker was lost")]
        self.attempt = current
        if not record.running and record.end is None:
            told, self.queued = self.queued, True
            return [] if told else [Queued(record.id, 0, None)]
        if not self.started and record.attempt:
            self.started = True
            return [Started(record.id, current)]
        if self.seq < len(record.text):
            begin, self.seq = self.seq, len(record.text)
            return [Chunk(record.id, current, begin, self.seq, record.text[begin:])]
        if record.end is not None and not self.done:
            self.done = True
            return [record.end]
        return []


class Gate(RequestHandler):
    def initialize(self, realm: RealmDouble) -> None:
        self.realm = realm

    def prepare(self) -> None:
        if self.request.headers.get("Authorization") != f"Bearer {self.realm.token}":
            self.fail(401, Unauthenticated("Who are you?"))

    def fail(self, status: int, error: RealmError) -> None:
        self.set_status(status)
        self.finish(encode({"error": error.info()}))


class Socket(Gate, WebSocketHandler):
    """One client's socket."""

    def select_subprotocol(self, subprotocols: list[str]) -> str:
        assert SUBPROTOCOL in subprotocols
        return SUBPROTOCOL

    def open(self, *args: str) -> None:
        self.cursors: dict[str, Cursor] = {}
        self.told = 0
        self.realm.sockets.add(self)
        self.realm.opened_sockets += 1
        self.telling = asyncio.create_task(self.tell())

    def on_close(self) -> None:
        self.realm.sockets.discard(self)
        self.telling.cancel()

    def cut(self) -> None:
        """Drop the connection as a broken cable would: without a word."""
        if self.ws_connection is not None:
            self.ws_connection.stream.close()

    async def on_message(self, message: str | bytes) -> None:
        command = decode(message, ClientNGram)
        self.realm.heard.append(command)
        match command:
            case Hello():
                await self.send(Welcome("ada", Role.USER, self.realm.epoch, "0", 2**18, command.id))
            case Submit():
                await self.submit(command)
            case Cancel() | Resume():
                await self.about(command)
            case Watch():
                await self.send(STATE)
            case Unwatch():
                pass

    async def submit(self, command: Submit) -> None:
        if self.realm.deaf:
            self.realm.deaf -= 1
            self.realm.submit(command)
            self.cut()
        elif self.realm.refusal is not None:
            await self.send(Refused(self.realm.refusal.info(), command.id))
        else:
            record, repeated = self.realm.submit(command)
            await self.send(Admitted(record.id, "echo", 1000, command.id, repeated))
            self.cursors[record.id] = Cursor(record, 0, 0)
            await self.realm.tell()

    async def about(self, command: Cancel | Resume) -> None:
        try:
            if isinstance(command, Cancel):
                await self.realm.cancel(command.query)
                return
            record = self.realm.find(command.query)
        except NotFound as error:
            await self.send(Error(error.info(), command.id, command.query))
            return
        self.cursors[record.id] = Cursor(record, command.attempt, command.seq)
        await self.realm.tell()

    async def tell(self) -> None:
        while True:
            news = [event for cursor in list(self.cursors.values()) for event in cursor.news()]
            for event in news:
                await self.event(event)
            if not news:
                async with self.realm.changed:
                    await self.realm.changed.wait()

    async def event(self, event: RealmNGram) -> None:
        if isinstance(event, Chunk) and event.seq in self.realm.swallowed:
            self.realm.swallowed.discard(event.seq)
            return
        for _ in range(2 if self.realm.stutter and isinstance(event, Chunk) else 1):
            await self.send(event)
        self.told += 1
        if self.told == self.realm.drop_after:
            self.cut()

    async def send(self, ngram: RealmNGram) -> None:
        try:
            await self.write_message(encode(ngram))
        except WebSocketClosedError:
            self.telling.cancel()


class Api(Gate):
    """The few REST resources that tests of the client look at."""

    def get(self, path: str) -> None:
        if path == "models":
            model = ModelInfo("echo", Modality.CHAT, slots=self.realm.epoch)
            self.finish(encode(Page((model,))))
        elif path == "me":
            self.finish(encode(Me("ada", Role.SYSOP)))
        elif path == "lanes":
            self.finish(encode(STATE))
        else:
            self.fail(404, NotFound("You have no such query."))

    async def delete(self, path: str) -> None:
        await self.realm.cancel(path.rpartition("/")[2])
        self.set_status(202)


class Health(RequestHandler):
    def get(self) -> None:
        self.finish({"status": "ok"})
