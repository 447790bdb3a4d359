"""The two ways to carry a map through: in plain code, and in a running event loop.

Data are read, and people are asked and shown, by who called; the realm is spoken to in the
client's own loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from mtor_kernel.client.mapping.bar import Bar
from mtor_kernel.client.mapping.consent import consent
from mtor_kernel.client.mapping.job import Job
from mtor_kernel.client.mapping.report import Report
from mtor_kernel.client.mapping.rows import Rows
from mtor_kernel.client.mapping.run import Run, Shape
from mtor_kernel.client.mapping.survey import Estimate, Survey, estimate, survey

if TYPE_CHECKING:
    from mtor_kernel.client.aio import RealmClient

#: Runs a function of the client's loop and returns what it returns.
Call = Callable[..., Any]
#: Takes the report of a map as soon as there is one.
Keep = Callable[[Report], None]


def carry(call: Call, client: RealmClient, job: Job, shape: Shape, keep: Keep) -> Any:
    """Carry a map through and return its answers. `call` waits.

    Interrupted, it cancels what is under way and raises on; `keep` has the report then.
    """
    seen = survey(job)
    run = Run(client, job, seen, shape)
    price: Estimate = call(_estimate, run, job, seen, client)
    consent(price, job.ask_above)
    keep(run.report)
    with Bar(seen.total, price, job.progress) as bar:
        try:
            call(run.begin, price)
            while not call(run.news):
                bar.show(run.report)
                bar.check()
        except BaseException:
            call(run.stop)
            raise
        finally:
            bar.show(run.report)
    return run.report.result()


async def carry_async(
    call: Callable[..., Awaitable[Any]], client: RealmClient, job: Job, shape: Shape, keep: Keep
) -> Any:
    """Carry a map through and return its answers. `call` is awaited.

    Cancelled, it cancels what is under way and raises on; `keep` has the report then.
    """
    seen = await asyncio.to_thread(survey, job)
    run = Run(client, job, seen, shape)
    price: Estimate = await call(_estimate, run, job, seen, client)
    consent(price, job.ask_above)
    keep(run.report)
    with Bar(seen.total, price, job.progress) as bar:
        try:
            await call(run.begin, price)
            while not await call(run.news):
                bar.show(run.report)
                bar.check()
        except BaseException:
            await asyncio.shield(asyncio.ensure_future(call(run.stop)))
            raise
        finally:
            bar.show(run.report)
    return run.report.result()


async def _estimate(run: Run, job: Job, seen: Survey, client: RealmClient) -> Estimate:
    loaded: dict[int, Rows] = {}

    async def load(part: int) -> Rows:
        if part not in loaded:
            loaded.clear()  # one partition at a time
            loaded[part] = await asyncio.to_thread(job.source.load, part)
        return loaded[part]

    return await estimate(job, seen, load, run.query, client.quote)
