"""An event loop in a thread of its own, so that plain code can wait for what runs in it."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

#: The longest wait in one piece, in seconds: an interrupt is looked for in between.
SLICE_SECONDS = 0.2
#: How long an interrupted wait lets what it waited for clean up, in seconds.
CLEAN_UP_SECONDS = 1.2


class LoopThread:
    """Runs coroutines in another thread and waits for them.

    Promises: :meth:`call` works in any thread but its own, inside a running event loop too; an
    interrupt arrives at once, cancels what was waited for, and is raised on.
    """

    def __init__(self, name: str) -> None:
        self._process = os.getpid()
        self._loop = asyncio.new_event_loop()
        # A daemon: it must never keep a kernel or a script from ending.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def call(self, function: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Await ``function(*args, **kwargs)`` in the thread's loop and return its result.

        Raises
        ------
        RuntimeError
            It can't be waited for: another process, the loop's own thread, or closed.
        """
        self._check()
        tasks: list[asyncio.Task[T]] = []
        # A bare lock, and no concurrent.futures: an interrupt in the middle of a Condition leaves
        # it locked, and the loop's thread would then wait for it for ever.
        ended = threading.Lock()
        ended.acquire()

        async def work() -> T:
            return await function(*args, **kwargs)

        def begin() -> None:
            task = self._loop.create_task(work())
            task.add_done_callback(lambda _: ended.release())
            tasks.append(task)

        try:
            self._loop.call_soon_threadsafe(begin)
            while not ended.acquire(timeout=SLICE_SECONDS):
                self._check()
        except BaseException:
            self._cancel(tasks, ended)
            raise
        (task,) = tasks
        if task.cancelled():
            raise RuntimeError("This realm was closed while somebody waited for it.")
        return task.result()

    async def acall(
        self, function: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Do as :meth:`call` from another event loop, which is not held up. A cancel goes along."""
        self._check()

        async def work() -> T:
            return await function(*args, **kwargs)

        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work(), self._loop))

    def _cancel(self, tasks: list[asyncio.Task[T]], ended: threading.Lock) -> None:
        """Cancel what was interrupted, and let it clean up."""
        if not any(task.done() for task in tasks) and self._thread.is_alive():
            # In the loop's thread: by then it has begun, if it ever does.
            self._loop.call_soon_threadsafe(lambda: [task.cancel() for task in tasks])
            ended.acquire(timeout=CLEAN_UP_SECONDS)

    def stop(self) -> None:
        """End the loop and its thread. Safe to repeat, and in a process forked since."""
        if self._process == os.getpid() and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            if threading.current_thread() is not self._thread:
                self._thread.join(SLICE_SECONDS)

    def _check(self) -> None:
        if self._process != os.getpid():
            raise RuntimeError(
                "This realm was opened before the process forked, and its connection stayed with "
                "the parent: call mtor_kernel.connect() in the child."
            )
        if threading.current_thread() is self._thread:
            raise RuntimeError("The realm's own thread cannot wait for itself: use RealmClient.")
        if not self._thread.is_alive():
            raise RuntimeError("This realm is closed: call mtor_kernel.connect() for a new one.")

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            self._finish()
        finally:
            self._loop.close()

    def _finish(self) -> None:
        """Let what is under way notice that it has ended."""
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
