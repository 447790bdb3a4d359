"""``ngram``: the WebSocket of the clients.

Two things go on in one socket and share nothing but its connection: commands are read, obeyed and
answered one after the other (submissions side by side, so that one commit takes many), and one task
tells the news of the queries that are followed. Nothing is queued for a client: a command gives up
its place only when its answer is sent, and the follower reads by cursor. So a client that does not
read is soon no longer read from, costs one batch, and delays nobody; after a while it is cut off.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Iterable, Sequence
from itertools import groupby

import msgspec
from tornado.websocket import WebSocketClosedError

from mtor_kernel.gateway.failures import fault
from mtor_kernel.gateway.upgrade import FAULT, POLICY, RESTART, TOO_BIG, Socket
from mtor_kernel.protocol.codec import MAX_FRAME_BYTES, decode
from mtor_kernel.protocol.errors import (
    BadInput,
    Banned,
    ErrorInfo,
    QuotaExceeded,
    RealmError,
    RealmStopping,
    TooLarge,
)
from mtor_kernel.protocol.identity import SCOPE_QUERY
from mtor_kernel.protocol.ngram import (
    MAX_SUBMITS,
    Admitted,
    Cancel,
    Chunk,
    ClientNGram,
    CommandId,
    Error,
    Hello,
    Notice,
    Progress,
    RealmNGram,
    RealmState,
    Refused,
    Resume,
    Several,
    Submit,
    SubmitAll,
    Unwatch,
    Watch,
    Welcome,
)
from mtor_kernel.realm.intake import Submitted

log = logging.getLogger(__name__)


class _Numbered(msgspec.Struct):
    """What of a command must be right for its refusal to have an address."""

    id: CommandId = ""


class ClientSocket(Socket):
    """One client. Follows as many queries as it likes, within a limit, over one connection."""

    scope = SCOPE_QUERY
    kind = "client"

    async def admit(self) -> None:
        """Let in nobody who has as many connections as one may; what opens a socket reads why."""
        await super().admit()
        self.gateway.realm.readers.check(self.user)

    def opened(self) -> None:
        """Begin to tell news; there are none before the client asks for some."""
        self._greeted = False
        #: Whether it reads what is told in common frames.
        self._joins = False
        self._places = asyncio.Semaphore(self.gateway.limits.max_commands)
        self._commands: set[asyncio.Task[None]] = set()
        self._follower = self.follow()
        self._telling = asyncio.create_task(self._tell())

    def closed(self) -> None:
        """Tell no more. What was submitted goes on; commands under way end by themselves."""
        self._telling.cancel()
        self._follower.close()

    async def on_message(self, message: str | bytes) -> None:
        """Obey one command. The next frame is read when this returns."""
        if not self._is_open:
            return  # it was turned away
        try:
            command: ClientNGram = self.heard(message, ClientNGram)
        except RealmError as error:
            await self._misheard(error, message)
            return
        if isinstance(command, Submit | SubmitAll):
            await self._places.acquire()
            task = asyncio.create_task(self._obey(command))
            self._commands.add(task)
            task.add_done_callback(self._obeyed)
            return
        # In order: what was submitted before is known before it is, say, cancelled.
        if self._commands:
            await asyncio.wait(self._commands)
        await self._obey(command)

    def _obeyed(self, task: asyncio.Task[None]) -> None:
        self._commands.discard(task)
        self._places.release()

    async def _misheard(self, error: RealmError, message: str | bytes) -> None:
        self.gateway.counters.malformed.labels(self.kind).inc()
        await self._answer(Error(error.info(), _id_of(message)))
        if isinstance(error, TooLarge):
            self.turn_away(error, TOO_BIG)

    async def _obey(self, command: ClientNGram) -> None:
        try:
            await self._carry_out(command)
        except RealmError as error:
            await self._answer(*_refusals(command, error.info()))
            if isinstance(error, Banned):
                self.turn_away(error)
        except (WebSocketClosedError, TimeoutError):
            return
        except Exception:
            name = uuid.uuid4().hex[:12]
            log.exception("fault %s in command %s", name, type(command).__name__)
            await self._answer(*_refusals(command, fault(name)))

    async def _carry_out(self, command: ClientNGram) -> None:
        realm = self.gateway.realm
        if isinstance(command, Hello):
            self._greeted = True
            await self.send([self._welcome(command)])
            return
        if not self._greeted:
            raise BadInput("Say hello first.")
        match command:
            case Submit():
                await self._submit(command)
            case SubmitAll():
                await self._submit_all(command)
            case Cancel():
                await realm.cancel(self.user, command.query)
            case Resume():
                self._check_room()
                await self._follow(command.query, command.attempt, command.seq)
            case Watch():
                self._follower.watch(True)
            case Unwatch():
                self._follower.watch(False)

    def _welcome(self, hello: Hello) -> Welcome:
        realm, user = self.gateway.realm, self.user
        log.debug("hello from %s", hello.client)
        return Welcome(
            user.name,
            user.role,
            realm.epoch,
            realm.version,
            MAX_FRAME_BYTES,
            hello.id,
            realm.people.show_prompts,
            MAX_SUBMITS,
        )

    async def _submit(self, command: Submit) -> None:
        self._check_room()
        done = await self.gateway.realm.submit(self.user, command.query, command.key)
        await self.send([_answer_to(command.id, done)])
        # Only now: a query's events come after its admission.
        await self._follow(done.query)

    async def _submit_all(self, command: SubmitAll) -> None:
        """Answer each as if it had come alone, all in one write; what has no room is refused."""
        self._joins |= command.several
        room = max(0, self.gateway.limits.max_followed - self._follower.following)
        asked = command.asked[:room]
        told: list[Submitted | RealmError] = []
        if asked:
            pairs = [(one.query, one.key) for one in asked]
            told += await self.gateway.realm.submit_all(self.user, pairs)
        told += [self._no_room()] * (len(command.asked) - len(asked))
        answers = [_answer_to(said.id, one) for said, one in zip(command.asked, told, strict=True)]
        await self.send(self._joined(answers))
        for one in told:
            if isinstance(one, Submitted):
                await self._follow(one.query)
            elif isinstance(one, Banned):
                self.turn_away(one)
                return

    def _joined(self, told: Sequence[RealmNGram]) -> Iterable[RealmNGram]:
        """Return n-grams in as few frames as the client reads them in."""
        if not self._joins or len(told) < 2:
            return told
        joined: list[RealmNGram] = []
        for alone, group in groupby(told, _goes_alone):
            some = tuple(group)
            joined += some if alone else [Several(some)]  # type: ignore[arg-type]  # told apart
        return joined

    async def _follow(self, query: str, attempt: int = 0, seq: int = 0) -> None:
        await self._follower.add(query, attempt, seq)
        if not self._is_open:
            # It closed meanwhile, and what was just added would be followed for ever.
            self._follower.close()

    def _check_room(self) -> None:
        if self._follower.following >= self.gateway.limits.max_followed:
            raise self._no_room()

    def _no_room(self) -> QuotaExceeded:
        limit = self.gateway.limits.max_followed
        return QuotaExceeded(
            f"This connection follows {limit} queries already: let some end, or open another.",
            rule="queries_per_socket",
            limit=limit,
            used=limit,
        )

    async def _answer(self, *answers: Error | Refused) -> None:
        """Send errors; if that cannot be done, the socket is closing anyway."""
        try:
            await self.send(answers)
        except (WebSocketClosedError, TimeoutError):
            return

    async def _tell(self) -> None:
        """Send what is new, as fast as the client takes it, until the socket closes."""
        try:
            while True:
                await self.send(self._joined(await self._follower.next()))
        except RealmError as error:
            await self._answer(Error(error.info()))
            self.turn_away(error, RESTART if isinstance(error, RealmStopping) else POLICY)
        except (WebSocketClosedError, TimeoutError):
            return
        except Exception:
            log.exception("fault while telling news to %s", self.user.name)
            self.close(FAULT, "a fault of the realm's own")


def _goes_alone(told: RealmNGram) -> bool:
    """Tell whether an n-gram may be long, or is of no query."""
    if isinstance(told, Chunk):
        return told.part is not None
    if isinstance(told, Progress):
        return bool(told.preview)
    return isinstance(told, Notice | RealmState | Error)


def _id_of(message: str | bytes) -> str:
    """Return the id of a command that could not be read: whoever said it waits for an answer."""
    try:
        return decode(message, _Numbered).id
    except BadInput:
        return ""


def _answer_to(number: str, told: Submitted | RealmError) -> Admitted | Refused:
    """Return the n-gram that answers a submission of that id."""
    if isinstance(told, RealmError):
        return Refused(told.info(), number)
    return Admitted(told.query, told.model, told.hold_micro, number, told.repeated)


def _refusals(command: ClientNGram, error: ErrorInfo) -> list[Error | Refused]:
    """Return the n-grams that say no to `command`."""
    if isinstance(command, SubmitAll):
        return [Refused(error, one.id) for one in command.asked]
    if isinstance(command, Submit):
        return [Refused(error, command.id)]
    query = command.query if isinstance(command, Cancel | Resume) else ""
    return [Error(error, command.id, query)]
