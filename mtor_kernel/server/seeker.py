"""What the relays know of the realm: where it is, and what to say when it is nowhere."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from mtor_kernel.client.whereabouts import Whereabouts
from mtor_kernel.locate import Address, find_or_start
from mtor_kernel.protocol.codec import encode
from mtor_kernel.protocol.errors import (
    Forbidden,
    RealmError,
    RealmUnreachable,
    TooLarge,
    Unauthenticated,
)

T = TypeVar("T")

_STATUS: dict[type[RealmError], int] = {Forbidden: 403, TooLarge: 413}


class Seeker:
    """Finds the realm for all relays of one Jupyter server, and starts it on first use."""

    def __init__(self) -> None:
        self._whereabouts = Whereabouts(find=find_or_start)

    async def reach(self, dial: Callable[[Address], Awaitable[T]]) -> tuple[Address, T]:
        """Return the realm's address and what `dial` makes of it; look afresh where it has moved.

        Raises
        ------
        RealmUnreachable
            There is no realm, and none could be started.
        """
        for last in (False, True):
            address = await self._whereabouts.address()
            try:
                return address, await dial(address)
            except (OSError, Unauthenticated) as error:
                self._whereabouts.forget(address)
                if last:
                    raise RealmUnreachable(
                        "The realm does not answer. It is looked for again with the next request."
                    ) from error
        raise AssertionError("unreachable")

    def lost(self, address: Address) -> None:
        """The realm is not what it was at `address`: look for it with the next request."""
        self._whereabouts.forget(address)


def refuse(handler: Any, error: RealmError) -> None:
    """Answer as the realm itself would, where it can't."""
    handler.clear()
    handler.set_status(_STATUS.get(type(error), 503))
    handler.set_header("Content-Type", "application/json")
    handler.finish(encode({"error": error.info()}))


async def admit(handler: Any, action: str) -> None:
    """Let pass whom Jupyter knows and authorises for the resource ``mtor``.

    Raises
    ------
    tornado.web.HTTPError
        403: nobody, or somebody who may not.
    """
    from jupyter_core.utils import ensure_async
    from tornado.web import HTTPError

    user = handler.current_user
    if user is None:
        raise HTTPError(403)
    if not await ensure_async(handler.authorizer.is_authorized(handler, user, action, "mtor")):
        raise HTTPError(403, f"User is not authorized to {action} on resource: mtor.")
