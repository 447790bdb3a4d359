"""Everybody who follows answers here, and the streams that they follow.

Many readers share one stream: of a query under way it is the lane's, of one that has ended it is
made from the store, and of one that another gateway carries it is told from there.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from weakref import WeakValueDictionary

from mtor_kernel.protocol.identity import User
from mtor_kernel.protocol.lifecycle import ENDS, Stage
from mtor_kernel.realm.followers import Follower
from mtor_kernel.realm.lanes import Lanes
from mtor_kernel.realm.people import People
from mtor_kernel.realm.streams import Stream, replay
from mtor_kernel.storage import records
from mtor_kernel.storage.store import Store


class Readers:
    """All followers, and the streams that somebody follows, also after their end.

    Parameters
    ----------
    left
        Called when one of them has gone.
    """

    def __init__(
        self, store: Store, lanes: Lanes, people: People, left: Callable[[], None]
    ) -> None:
        self._store = store
        self._lanes = lanes
        self._people = people
        self._left = left
        self.followers: set[Follower] = set()
        #: How many of those each person has.
        self._counts: Counter[str] = Counter()
        #: Called when a query is followed that another gateway carries.
        self.followed_afar: Callable[[], None] = lambda: None
        self.streams: WeakValueDictionary[str, Stream] = WeakValueDictionary()
        #: Held while an ended answer is read: one at a time, as it may be long.
        self._reading = asyncio.Lock()

    @property
    def busy(self) -> bool:
        """Whether anything is followed, or watched."""
        return any(each.following or each.watching for each in self.followers)

    def follow(self, user: User) -> Follower:
        """Return a reader of that person's queries. Close it when done."""
        follower = Follower(user.name, self.find, self._closed)
        self.followers.add(follower)
        self._counts[user.name] += 1
        return follower

    def check(self, user: User) -> None:
        """Raise :class:`QuotaExceeded` where that person has as many connections as one may."""
        self._people.check_connections(user, self._counts[user.name])

    def _closed(self, follower: Follower) -> None:
        if follower in self.followers:
            self.followers.discard(follower)
            self._counts[follower.user] -= 1
            if not self._counts[follower.user]:
                del self._counts[follower.user]
        self._left()

    async def find(self, user: str, query: str) -> Stream:
        """Return the stream of a person's query.

        Raises
        ------
        NotFound
            There is no such query, or it is somebody else's.
        """
        for _ in range(100):
            place = self._lanes.places.get(query)
            stream = place.stream if place is not None else self.streams.get(query)
            if stream is not None:
                if stream.user != user:
                    raise records.unknown(query)
                self.streams[query] = stream
                return stream
            async with self._reading:
                if query in self.streams:
                    continue  # of several who want it at the same time, one has brought it
                info = await self._store.read(lambda db: records.info(db, query, user))
                if info.stage in ENDS:
                    stream = self.streams[query] = replay(info, user)
                    return stream
                if not self._lanes.owns(info.model):
                    # One that runs begins in the stream when that is seen, by bus or look.
                    void = info.attempt - (info.stage is Stage.RUNNING)
                    stream = self.streams[query] = Stream(query, user, attempt=void)
                    self.followed_afar()
                    return stream
            # Written down a moment ago, and on its way to its lane.
            await asyncio.sleep(0.02)
        raise records.unknown(query)

    def all_afar(self) -> list[Stream]:
        """Return the streams that are followed here of queries that are carried elsewhere."""
        return [
            stream
            for query, stream in self.streams.items()
            if stream.end is None and query not in self._lanes.places
        ]

    def afar(self, query: str) -> Stream | None:
        """Return the stream of one such query."""
        stream = self.streams.get(query)
        if stream is None or stream.end is not None or query in self._lanes.places:
            return None
        return stream
