"""Which of several gateways owns a lane: by hash, so that each works it out for itself.

Rendezvous hashing: every gateway has a score for every lane, and the highest one owns it. When a
gateway goes only its own lanes move, each to whoever is next; when one comes it takes its share of
everybody's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection


def owner(lane: str, gateways: Collection[int]) -> int:
    """Return the one of `gateways` that owns a lane.

    >>> owner("smollm2", [7])
    7
    """
    return max(gateways, key=lambda gateway: (_score(lane, gateway), gateway))


def _score(lane: str, gateway: int) -> bytes:
    return hashlib.blake2b(f"{gateway}\0{lane}".encode(), digest_size=8).digest()
