"""What is kept of the Hub's answers, and what happens when there are none."""

import asyncio
from typing import Any

import pytest

from mtor_kernel.hub.known import Known
from mtor_kernel.protocol.errors import Unavailable

pytestmark = pytest.mark.asyncio

ANN = {"name": "ann"}


class Desk:
    """A Hub's desk, which may be closed."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {"hers": ANN}
        self.asked = 0
        self.open = asyncio.Event()
        self.open.set()

    async def ask(self, token: str) -> Any:
        self.asked += 1
        await self.open.wait()
        return self.answers.get(token)

    def known(self, fresh: float = 60.0, stale: float = 60.0, patience: float = 0.1) -> Known:
        return Known(self.ask, fresh_seconds=fresh, stale_seconds=stale, patience_seconds=patience)


async def test_an_answer_is_used_again() -> None:
    desk = Desk()
    known = desk.known()
    assert [await known.model("hers") for _ in range(3)] == [ANN, ANN, ANN]
    assert desk.asked == 1


async def test_many_who_ask_at_once_ask_once() -> None:
    desk = Desk()
    known = desk.known()
    assert await asyncio.gather(*(known.model("hers") for _ in range(50))) == [ANN] * 50
    assert desk.asked == 1


async def test_no_is_an_answer_as_well() -> None:
    desk = Desk()
    known = desk.known()
    assert [await known.model("made-up") for _ in range(3)] == [None] * 3
    assert desk.asked == 1


async def test_an_answer_grows_old() -> None:
    desk = Desk()
    known = desk.known(fresh=0.0)
    assert await known.model("hers") == ANN
    desk.answers.clear()
    assert await known.model("hers") is None


async def test_who_is_known_goes_on_without_an_answer_and_others_do_not() -> None:
    desk = Desk()
    known = desk.known(fresh=0.0)
    assert await known.model("hers") == ANN
    desk.open.clear()
    assert await known.model("hers") == ANN
    with pytest.raises(Unavailable, match="JupyterHub does not answer"):
        await known.model("his")
    desk.open.set()


async def test_what_is_too_old_is_no_longer_good_enough() -> None:
    desk = Desk()
    known = desk.known(fresh=0.0, stale=0.0)
    assert await known.model("hers") == ANN
    desk.open.clear()
    with pytest.raises(Unavailable):
        await known.model("hers")
    desk.open.set()


async def test_one_who_stops_waiting_does_not_end_the_question_of_others() -> None:
    desk = Desk()
    known = desk.known(patience=30.0)
    desk.open.clear()
    first, second = (asyncio.create_task(known.model("hers")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    desk.open.set()
    assert await second == ANN
    assert desk.asked == 1
