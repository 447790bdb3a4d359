"""Queries over REST: ask, look, stop, and what it would cost."""

from __future__ import annotations

import math
import re

import msgspec

from mtor_kernel.gateway.base import Gate
from mtor_kernel.protocol.check import check_key
from mtor_kernel.protocol.errors import BadInput, NotFound
from mtor_kernel.protocol.identity import SCOPE_QUERY
from mtor_kernel.protocol.lifecycle import Stage
from mtor_kernel.protocol.ngram import Admitted
from mtor_kernel.protocol.query import Key, Query
from mtor_kernel.storage.records import Sought

_ID = re.compile("[0-9a-f]{32}", re.ASCII)


class Submission(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is posted to ask."""

    query: Query
    #: May also come in the header ``Idempotency-Key``.
    key: Key | None = None


class Queries(Gate):
    """``api/queries``: one's own, newest first; and new ones."""

    scope = SCOPE_QUERY

    async def get(self) -> None:
        """List them: ``search``, ``model``, ``stage``, ``since``, ``until``; ``before``, ``limit``.

        Times are seconds since the epoch; ``before`` is a cursor.
        """
        limit = self.whole("limit", 50, 1, 200)
        sought = Sought(
            self.words("search"),
            self.words("model"),
            self._stage(),
            self._moment("since"),
            self._moment("until"),
        )
        self.reply(await self.gateway.realm.history(self.user, sought, self.words("before"), limit))

    def _stage(self) -> Stage | None:
        word = self.words("stage")
        try:
            return Stage(word) if word else None
        except ValueError:
            raise BadInput(f"stage must be one of {', '.join(Stage)}, not {word[:40]!r}.") from None

    def _moment(self, name: str) -> float | None:
        text = self.words(name)
        try:
            moment = float(text) if text else None
        except ValueError:
            moment = math.nan
        if moment is not None and not math.isfinite(moment):
            raise BadInput(f"{name} must be seconds since the epoch, not {text[:40]!r}.")
        return moment

    async def post(self) -> None:
        """Ask. Answered when the query is written down."""
        submission = self.said(Submission)
        key = one_key(submission.key, self.request.headers.get("Idempotency-Key"))
        done = await self.gateway.realm.submit(self.user, submission.query, key)
        self.set_header("Location", f"{self.request.path}/{done.query}")
        self.reply(Admitted(done.query, done.model, done.hold_micro, repeated=done.repeated), 202)


class OneQuery(Gate):
    """``api/queries/{id}``: one query of one's own, with its question and its answer."""

    scope = SCOPE_QUERY

    async def get(self, id: str) -> None:
        """Return it."""
        self.reply(await self.gateway.realm.info(self.user, known(id)))

    async def delete(self, id: str) -> None:
        """Cancel it; one that has ended stays as it is."""
        await self.gateway.realm.cancel(self.user, known(id))
        self.reply(await self.gateway.realm.info(self.user, id), 202)


class Quotes(Gate):
    """``api/quote``: the price of a query before it is asked."""

    scope = SCOPE_QUERY

    async def post(self) -> None:
        """Return it; nothing is held. ``count``: so many such queries; the wait is the last's."""
        count = self.whole("count", 1, 1, 1_000_000_000)
        self.reply(await self.gateway.realm.quote(self.user, self.said(Query), count))


def known(id: str) -> str:
    """Return `id` if a query could have it; one that cannot be is simply not found."""
    if _ID.fullmatch(id):
        return id
    raise NotFound("You have no such query.")


def one_key(inside: str | None, header: str | None) -> str:
    """Return the one idempotency key that a submission brings.

    Raises
    ------
    BadInput
        It brings none, two that differ, or one with characters that no key has.
    """
    if inside and header and inside != header:
        raise BadInput("The key in the body and the one in the header Idempotency-Key differ.")
    return check_key(inside or header or "")
