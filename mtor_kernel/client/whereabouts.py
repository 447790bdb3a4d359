"""Where the realm is: looked up when needed, and again when it has gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from mtor_kernel.locate import Address
from mtor_kernel.protocol.errors import RealmUnreachable


class Whereabouts:
    """The realm's address, with at most one search for it at a time, however many ask.

    Parameters
    ----------
    address
        Where it is, if that is known.
    find
        Looks for the realm and may block; ``None``: it is there or nowhere.
    check
        Raises where no realm may be asked now, wherever one is.
    """

    def __init__(
        self,
        address: Address | None = None,
        find: Callable[[], Address] | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._address = address
        self._find = find
        self._check = check
        self._search: asyncio.Task[Address] | None = None

    async def address(self) -> Address:
        """Return where the realm is; raise :class:`RealmUnreachable` where none can be found."""
        self._check()
        if self._address is not None:
            return self._address
        if self._search is None:
            self._search = asyncio.create_task(self._look())
        # Shielded: one who stops waiting does not end the search of the others.
        return await asyncio.shield(self._search)

    def forget(self, stale: Address) -> bool:
        """Look for the realm afresh next time, as it isn't at `stale`; tell whether that helps."""
        if self._find is None:
            return False
        if self._address == stale:
            self._address = None
        return True

    async def _look(self) -> Address:
        if self._find is None:
            raise RealmUnreachable("Nobody has said where the realm is: give its URL and token.")
        try:
            self._address = await asyncio.to_thread(self._find)
            return self._address
        finally:
            self._search = None
