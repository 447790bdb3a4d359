"""What a caller gives, and what a realm is never bothered with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from mtor_kernel.client import RealmClient
from mtor_kernel.protocol.errors import BadInput, RealmUnreachable, TooLarge
from tests.realms import small_realm

Call = Callable[[RealmClient], Awaitable[Any]]

#: What cannot be, and what is said of it.
REFUSED: list[tuple[Call, str]] = [
    (lambda realm: realm.history("x" * 100_000), "search is too long, with 100,000 characters"),
    (lambda realm: realm.history("x" * 5_000), "search must be at most 1000 characters"),
    (lambda realm: realm.history("a\ud800"), "search holds half a character at position 1"),
    (lambda realm: realm.history("a\0b"), "search holds a NUL character"),
    (lambda realm: realm.history(5), "search must be a text, not 5"),  # type: ignore[arg-type]
    (lambda realm: realm.history(limit="x"), "limit must be a whole number, not 'x'"),  # type: ignore[arg-type]
    (lambda realm: realm.history(limit=None), "limit must be a whole number, not None"),  # type: ignore[arg-type]
    (lambda realm: realm.history(limit=1.5), "limit must be a whole number, not 1.5"),  # type: ignore[arg-type]
    (lambda realm: realm.history(limit=True), "limit must be a whole number, not True"),
    (lambda realm: realm.history(limit=-1), "limit must be 1 or more, not -1"),
    (lambda realm: realm.history(model="x" * 100_000), "model is too long"),
    (lambda realm: realm.history(status="nope"), "stage must be one of"),
    (lambda realm: realm.history(since="never"), "'never' is no day or time"),
    (lambda realm: realm.history(since=float("nan")), "nan is no day or time"),
    (lambda realm: realm.history(since=10**400), "is no day or time"),
    (lambda realm: realm.history(until=[1]), r"\[1\] is no day or time"),  # type: ignore[arg-type]
    (lambda realm: realm.usage(0), "days must be 1 or more"),
    (lambda realm: realm.conversations(-3), "limit must be 1 or more"),
    (lambda realm: realm.info("\ud800"), "holds half a character"),
    (lambda realm: realm.info("x" * 100_000), "is too long"),
    (lambda realm: realm.cancel(5), "must be a text, not 5"),  # type: ignore[arg-type]
    (lambda realm: realm.keep_turn("f" * 32, "\ud800", "0" * 32), "name holds half a character"),
    (lambda realm: realm.download("\ud800"), "holds half a character"),
    (lambda realm: realm.upload("/none/such"), "'/none/such' cannot be read"),
    (lambda realm: realm.upload(b"x", "a\r\nb"), "mime must be the name of a kind"),
    (lambda realm: realm.embed(5), "A int is no text"),  # type: ignore[call-overload]
    (lambda realm: realm.ask(b"x", "echo"), "The prompt must be a text, not b'x'"),  # type: ignore[arg-type]
    (lambda realm: realm.ask(None, "echo"), "The prompt must be a text, not None"),  # type: ignore[arg-type]
    (lambda realm: realm.ask("x", "echo", system=b"y"), "system must be a text, not b'y'"),
    (lambda realm: realm.ask("x", "echo", priority="top"), "priority is interactive or batch"),
    (
        lambda realm: realm.ask("x", "echo", messages=[{"role": "robot", "content": "x"}]),
        "An earlier turn cannot be: Invalid enum value 'robot'",
    ),
]


@pytest.mark.asyncio
async def test_what_cannot_be_is_refused_in_a_sentence_and_the_next_call_answered(
    tmp_path: Path,
) -> None:
    async with small_realm(tmp_path) as small, small.client() as realm:
        for call, said in REFUSED:
            with pytest.raises((BadInput, TooLarge), match=said):
                await call(realm)
        assert await realm.history("%_") == []
        assert await realm.history("x" * 999, 10**30) == []


@pytest.mark.asyncio
async def test_where_no_realm_is_that_is_what_is_said() -> None:
    async with RealmClient("http://127.0.0.1:9/", "none") as realm:
        with pytest.raises(RealmUnreachable, match="No realm answers"):
            await realm.history("x" * 1000)
