"""Who is connected, and may still be.

Who is asking is looked at when a connection opens. Bans are the realm's own and end it at once;
what changes at the Hub (a group left, a token revoked, a person deleted or renamed) is looked for
here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from mtor_kernel.gateway.base import Gate
from mtor_kernel.gateway.shared import Gateway
from mtor_kernel.protocol.errors import RealmError, Unauthenticated, Unavailable
from mtor_kernel.protocol.identity import User
from mtor_kernel.realm.followers import Follower

log = logging.getLogger(__name__)

#: How many are looked at at the same time: more would keep the Hub from others.
AT_ONCE = 8


class Vigil:
    """Looks at everybody who is connected, every `seconds`."""

    def __init__(
        self, gateway: Gateway, again: Callable[[Gate], Awaitable[User]], seconds: float
    ) -> None:
        self._gateway = gateway
        self._again = again
        self._seconds = seconds

    async def keep(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(self._seconds)
            try:
                await self.look()
            except Exception:  # it outlives whatever happens
                log.exception("who is connected could not be looked at; trying again")

    async def look(self) -> None:
        """Look at everybody once; whoever may no longer is told why, and their connection ends."""
        places = asyncio.Semaphore(AT_ONCE)
        everybody = list(self._gateway.listening.items())
        open_ones = self._gateway.realm.readers.followers

        async def one(follower: Follower, gate: Gate) -> None:
            async with places:
                await self._look_at(follower, gate)

        await asyncio.gather(*(one(*each) for each in everybody if each[0] in open_ones))

    async def _look_at(self, follower: Follower, gate: Gate) -> None:
        try:
            user = await self._again(gate)
            if user.name != follower.user:
                # What it follows is of the old name, which may be another person's by now.
                raise Unauthenticated(f"The Hub calls you {user.name} now: connect again.")
            user.require_entry(gate.scope)
            await self._gateway.realm.people.welcome(user)
            gate.user = user
        except Unavailable:
            return  # the Hub does not answer, so nothing was changed there
        except RealmError as error:
            log.info("%s is not let in any longer: %s", follower.user, error.message)
            follower.expel(error)
