"""Answers are brought into the form that was asked for.

Promises: a row is asked again where its answer misses the form, as often as the map says; until one
answer has fitted, few rows are asked, and where none of those ever fits, the map is told so.
"""

from __future__ import annotations

import asyncio

from mtor_kernel.client.mapping.door import Door, Ended
from mtor_kernel.client.mapping.form import Form, Misfit
from mtor_kernel.client.mapping.job import Job
from mtor_kernel.client.reply import Reply
from mtor_kernel.protocol.errors import BackendFailed
from mtor_kernel.protocol.query import Query

#: So many rows are asked until one has found its form. Each of them is paid for as often as it may
#: be asked again.
PROBES = 8


class Missed(Ended):
    """It had answers, and none of them the form that was asked for."""


class Hopeless(Missed):
    """So did all the rows that were tried first: no row is worth asking."""


class Fitting:
    """The form of one map's answers, and what is known of how its model keeps to it."""

    def __init__(self, form: Form, job: Job, rows: int, door: Door) -> None:
        self._form = form
        self._job = job
        self._rows = rows
        self._door = door
        self._probes = asyncio.Semaphore(PROBES)
        #: Whether rows may be asked as they come: an answer had the form, or all is over.
        self.known = False
        self._misfits = 0

    async def probe(self) -> None:
        """Wait until one more row may be tried."""
        if not self.known:
            await self._probes.acquire()

    def untold(self) -> None:
        """A row that was tried says nothing of the form: another may be."""
        self._probes.release()

    def give_up(self) -> None:
        """Keep nobody waiting for the first answer that fits."""
        self.known = True
        self._probes.release()

    def value(self, reply: Reply) -> object:
        """Return the value of an answer.

        Raises
        ------
        Misfit
            It has none.
        """
        value = self._form.value(reply.text)
        if not self.known:
            self.give_up()
        return value

    async def mend(self, query: Query, mark: str, reply: Reply, complaint: str) -> object:
        """Ask a row again until its answer fits, and return its value.

        Raises
        ------
        Missed
            It never does.
        Ended, RealmError
            As :meth:`~mtor_kernel.client.mapping.door.Door.reply`.
        """
        for mending in range(1, self._job.retries + 1):
            mended = self._job.mended(query, reply.text, complaint)
            reply = await self._door.reply(mended, f"{mark}\0{mending}")
            try:
                return self.value(reply)
            except Misfit as misfit:
                complaint = str(misfit)
        raise self._missed(reply.model, complaint)

    def _missed(self, model: str, complaint: str) -> Missed:
        times = f"asked {self._job.retries + 1} times" if self._job.retries else "asked once"
        last = f"The last: {complaint}."
        self._misfits += 1
        if not self.known and self._misfits == PROBES and self._rows > PROBES:
            return Hopeless(
                BackendFailed(
                    f"{model} keeps to no form: none of the first {PROBES} rows has an answer that "
                    f"fits the schema, each {times}, so no more was asked. {last} Choose a model "
                    "that can be held to a schema, or ask without one."
                )
            )
        return Missed(
            BackendFailed(f"{model} gave no answer that fits the schema, {times}. {last}")
        )
