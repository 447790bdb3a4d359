"""What sysops do takes hold: in this process at once, and in every other one of the realm.

The audit log is how processes hear of each other's acts. Each looks twice a second for rows that
are new, and makes what they tell hold here: open sockets of who was banned are closed, rules are
read again, admission closes. To do so twice changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mtor_kernel.protocol.errors import RealmError
from mtor_kernel.protocol.ngram import Notice
from mtor_kernel.storage import audit, people, settings
from mtor_kernel.storage.audit import Entry

if TYPE_CHECKING:
    from mtor_kernel.realm.realm import Realm

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

    async def open(self) -> None:
        """Begin with how things stand: whether admission is paused, and what is ruled."""
        self._seen = await self._realm.store.read(audit.newest)
        await self._take_admission()

    async def look(self) -> None:
        """Have what others did since the last look hold here."""
        for entry in await self._realm.store.read(lambda db: audit.since(db, self._seen)):
            self._seen = max(self._seen, entry.id)
            if entry.id in self._own:
                self._own.discard(entry.id)
            else:
                await self._take(entry)
                if entry.action == "stop_queries":
                    await self._stop_queries(entry.subject)

    async def done(self, entry: Entry) -> None:
        """Have what was just done by this process hold."""
        self._own.add(entry.id)
        await self._take(entry)

    async def _take(self, entry: Entry) -> None:
        match entry.action:
            case "ban" | "unban":
                await self._take_ban(entry.subject)
            case "quota":
                await self._realm.people.learn_rules()
                self._realm.caps_changed()
            case "pause" | "unpause":
                await self._take_admission()
            case "notice":
                for follower in self._realm.followers:
                    follower.notify(Notice(entry.reason))

    async def _take_ban(self, name: str) -> None:
        self._realm.people.forget(name)
        try:
            person = await self._realm.store.read(lambda db: people.get(db, name))
        except RealmError:
            return
        if person.banned_at is None:
            return
        for follower in list(self._realm.followers):
            if follower.user == name:
                follower.expel(people.banned(person.ban_reason))

    async def _take_admission(self) -> None:
        wanted = await self._realm.store.read(settings.admission)
        self._realm.admission_open = not wanted.paused

    async def _stop_queries(self, name: str) -> None:
        """Cancel what of a person's is on the lines of this process."""
        places = self._realm.lanes.places
        for query in [one for one, place in places.items() if place.ticket.user == name]:
            await self._realm.cancel(self._realm.people.last_seen(name), query)
