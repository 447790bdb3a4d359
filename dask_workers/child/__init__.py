"""A backend in a process of its own: a crash or a hang of it leaves the worker alive.

::

    worker's process                               child: python -m dask_workers.child
      IsolatedBackend ── Begin, Ask, Stop, Kept ─▶   the real backend, a thread an attempt
                      ◀─ Ready, Said, Ended, Want ─

One socket pair, frames of JSON with raw bytes behind them, nothing pickled. The child lives while
its model is loaded: to unload is to end it.
"""

from __future__ import annotations

from dask_workers.child.backend import IsolatedBackend

__all__ = ["IsolatedBackend"]
