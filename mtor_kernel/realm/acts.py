"""What sysops do takes hold: in this process at once, and in every other one of the realm.

The audit log is how processes hear of each other's acts. Each looks twice a second for rows that
are new, and makes what they tell hold here: open sockets of who was banned are closed, rules are
read again, admission closes. To do so twice changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import Connection

from mtor_kernel.protocol.errors import RealmError, Unavailable
from mtor_kernel.protocol.ngram import Notice
from mtor_kernel.storage import audit, people, settings
from mtor_kernel.storage.audit import Entry

if TYPE_CHECKING:
    from mtor_kernel.realm.realm import Realm

T = TypeVar("T")
log = logging.getLogger(__name__)

#: Between two looks, in seconds. A ban holds within one second, in other processes too.
LOOK_SECONDS = 0.5


class Acts:
    """Follows the audit log."""

    def __init__(self, realm: Realm) -> None:
        self._realm = realm
        #: The newest row that was there at the last look.
        self._seen = 0
        #: Newer rows of this process's own: they hold already.
        self._own: set[int] = set()
        #: One act or one look at a time: no look sees a row of our own before we know of it.
        self._one = asyncio.Lock()
        self._looking: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Take over how things stand, and begin to look."""
        self._seen = await self._realm.store.read(audit.newest)
        await self._take_admission()
        await self._take_aside()
        # Not a chore of the reaper's: there it would wait for the others, which take their time.
        self._looking = asyncio.create_task(self._keep_looking(), name="mtor-acts")

    async def close(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def carry_out(self, work: Callable[[Connection], tuple[T, Entry]]) -> T:
        """Write an act of this process and its row, and have it hold."""
        async with self._one:
            done, entry = await self._realm.store.write(work)
            await self._take(entry)
            self._own.add(entry.id)  # what could not be taken is left to the next look
            return done

    async def look(self) -> None:
        """Have what others did since the last look hold here."""
        async with self._one:
            for entry in await self._realm.store.read(lambda db: audit.since(db, self._seen)):
                if entry.id not in self._own:
                    await self._follow(entry)
                # Not before it holds: a look that the store fails in between sees it again.
                self._own.discard(entry.id)
                self._seen = max(self._seen, entry.id)

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.look()
            except Exception:
                log.exception("the acts of sysops could not be followed")

    async def _follow(self, entry: Entry) -> None:
        try:
            await self._take(entry)
            if entry.action == "stop_queries":
                await self._stop_queries(entry.subject)
        except Unavailable:
            raise
        except Exception:
            log.exception("the act %d of a sysop does not hold here", entry.id)

    async def _take(self, entry: Entry) -> None:
        match entry.action:
            case "ban" | "unban":
                await self._take_ban(entry.subject)
            case "quota":
                await self._realm.people.learn_rules()
                self._realm.caps_changed()
            case "pause" | "unpause":
                await self._take_admission()
            case "drain" | "remove" | "resume":
                await self._take_aside()
            case "notice":
                for follower in self._realm.readers.followers:
                    follower.notify(Notice(entry.reason))

    async def _take_ban(self, name: str) -> None:
        self._realm.people.forget(name)
        try:
            person = await self._realm.store.read(lambda db: people.get(db, name))
        except RealmError:
            return
        if person.banned_at is None:
            return
        for follower in list(self._realm.readers.followers):
            if follower.user == name:
                follower.expel(people.banned(person.ban_reason))

    async def _take_admission(self) -> None:
        wanted = await self._realm.store.read(settings.admission)
        self._realm.admission_open = not wanted.paused

    async def _take_aside(self) -> None:
        self._realm.workers.set_aside(await self._realm.store.read(settings.aside))

    async def _stop_queries(self, name: str) -> None:
        """Cancel what of a person's is on the lines of this process."""
        places = self._realm.lanes.places
        for query in [one for one, place in places.items() if place.ticket.user == name]:
            await self._realm.cancel(self._realm.people.last_seen(name), query)
