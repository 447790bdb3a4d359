"""How many queries of each user run, here and with other gateways: a cap holds for all together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable


class Counting:
    """Counts, and keeps users who are at their cap out of the lanes.

    Parameters
    ----------
    cap
        How many queries of a user may run at once; ``None``: as many as there are slots.
    block
        Called with a user and whether to pass them over, whenever that may have changed.
    """

    def __init__(
        self, cap: Callable[[str], int | None], block: Callable[[str, bool], None]
    ) -> None:
        self._cap, self._block = cap, block
        self._here: Counter[str] = Counter()
        #: How many of each user's other gateways run; ``None`` where there are none.
        self._elsewhere: Counter[str] | None = None

    def change(self, user: str, by: int) -> None:
        """So many more of a user's queries run here; 0: their cap may have changed."""
        self._here[user] += by
        running = self._here[user]
        if running <= 0:
            del self._here[user]
        running += 0 if self._elsewhere is None else self._elsewhere[user]
        cap = self._cap(user)
        self._block(user, cap is not None and running >= cap)

    def take_elsewhere(self, running: Counter[str]) -> bool:
        """Other gateways run so many of each user's; tell whether that is news."""
        before = self._elsewhere or Counter()
        self._elsewhere = running
        changed = [user for user in before | running if before[user] != running[user]]
        for user in changed:
            self.change(user, 0)
        return bool(changed)

    def caps_of(self, users: Iterable[str]) -> dict[str, int]:
        """Return the caps that the store must see to, since others start queries too."""
        if self._elsewhere is None:
            return {}
        found = {user: self._cap(user) for user in users}
        return {user: cap for user, cap in found.items() if cap is not None}

    def full_elsewhere(self, user: str) -> None:
        """The store says that others run as many of a user's as may, until they say otherwise."""
        assert self._elsewhere is not None
        self._elsewhere[user] = max(self._elsewhere[user], self._cap(user) or 0)
