"""The live bus between gateway processes: Redis, where an operator has one.

What is said here may be lost, and nobody waits for it to arrive. While the server is away
everything that is said is dropped; the connection comes back by itself.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from mtor_kernel.protocol.errors import Unavailable

if TYPE_CHECKING:
    from redis.asyncio import Redis

log = logging.getLogger(__name__)

#: The password of the bus, so that it need not stand in the URL.
PASSWORD = "MTOR_BUS_PASSWORD"  # noqa: S105 - its name only
#: How long the server may take to answer, and how long it may be silent before it is asked.
PATIENCE_SECONDS = 3.0
#: How long it may take to be told something: who says it does not look at the store meanwhile.
SAY_SECONDS = 0.5
#: Between two attempts to connect, at first and at most.
FIRST_SECONDS, LAST_SECONDS = 0.1, 3.0

Hear = Callable[[bytes], Awaitable[None]]


def connect(url: str) -> Redis:
    """Return a client of the server at `url`; it connects when it is used.

    Raises
    ------
    Unavailable
        There is no package for it, or the URL names none.
    """
    try:
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
    except ImportError:
        raise Unavailable(
            "Realm.bus_url needs the package redis: pip install 'mtor-kernel[redis]'."
        ) from None
    known: dict[str, Any] = {}
    if os.environ.get(PASSWORD):
        known["password"] = os.environ[PASSWORD]
    try:
        return Redis.from_url(
            url,
            socket_timeout=PATIENCE_SECONDS,
            socket_connect_timeout=PATIENCE_SECONDS,
            # Trying again is done here, where nothing waits for it.
            retry=Retry(NoBackoff(), 0),
            **known,
        )
    except ValueError:
        # Its message may show the URL, and that may hold a password.
        raise Unavailable(
            "Realm.bus_url is no URL of a Redis: write redis://host:6379 or rediss://host:6379."
        ) from None


async def answers(url: str) -> str:
    """Return why the server at `url` does not serve; empty where it does."""
    server = connect(url)
    from redis.exceptions import RedisError

    try:
        await server.ping()
    except (RedisError, OSError, TimeoutError) as error:
        return type(error).__name__
    finally:
        await server.aclose()
    return ""


class Bus:
    """One gateway's connection to the others.

    Parameters
    ----------
    url
        Of the Redis.
    realm
        Stands before the names of channels: several realms may use one server.
    epoch
        Which gateway this is.
    hear
        Is given what is said to this gateway, or to all, one after the other.
    """

    def __init__(self, url: str, realm: str, epoch: int, hear: Hear) -> None:
        self._redis = connect(url)
        from redis.exceptions import RedisError

        self._faults = (RedisError, OSError, TimeoutError)
        self._realm = realm
        self._own = self._channel(epoch)
        self._all = self._channel(0)
        self._hear = hear
        #: Whether what is said now is likely to arrive.
        self.up = False
        #: Whether it was logged that it is not.
        self._told = False
        self._listening: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Listen from now on, whenever the server is there."""
        self._listening = asyncio.create_task(self._run(), name="mtor-bus")

    async def close(self) -> None:
        """Hear and say nothing any more."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
        self.up = False
        with suppress(*self._faults):
            await self._redis.aclose()

    async def say(self, gateway: int, frame: bytes) -> None:
        """Say something to a gateway, or to all (0); it is dropped where that cannot be done."""
        if not self.up:
            return
        try:
            async with asyncio.timeout(SAY_SECONDS):
                await self._redis.publish(self._channel(gateway), frame)
        except self._faults as error:
            # It is up again when the ear hears something.
            self._is_away(error)

    def _channel(self, gateway: int) -> str:
        return f"mtor:{self._realm}:{gateway or 'all'}"

    async def _run(self) -> None:
        pause = FIRST_SECONDS
        while True:
            try:
                await self._listen()
            except self._faults as error:
                if not self._told:
                    pause = FIRST_SECONDS
                self._is_away(error)
            finally:
                self.up = False
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load
            pause = min(2 * pause, LAST_SECONDS)

    def _is_up(self) -> None:
        if not self.up:
            self.up, self._told = True, False
            log.info("the bus is up")

    def _is_away(self, error: BaseException) -> None:
        self.up = False
        if not self._told:
            # The kind only: a message may show what the server was told.
            log.warning("the bus is away, the store alone is used: %s", type(error).__name__)
            self._told = True

    async def _listen(self) -> None:
        """Hear until the connection breaks."""
        async with self._redis.pubsub() as ear:
            await ear.subscribe(self._own, self._all)
            asked = False
            while True:
                message = await ear.get_message(timeout=PATIENCE_SECONDS)
                if message is None:
                    if asked:
                        raise TimeoutError("it does not answer")
                    # Nothing came: is it because nothing was said?
                    await ear.ping()
                    asked = True
                    continue
                asked = False
                # Also where it was away for who speaks, and not for who listens.
                self._is_up()
                if message["type"] == "message":
                    try:
                        await self._hear(message["data"])
                    except Exception:
                        log.exception("something on the bus was not understood")
