"""The queue, and what one spends, with a real realm behind."""

import itertools
from typing import Any

import pytest

from mtor_kernel.client import Realm
from mtor_kernel.protocol.errors import Unavailable
from mtor_kernel.protocol.query import Query
from mtor_kernel.widgets import Cost, Queue
from tests.widgets.browser_double import Browser

pytestmark = pytest.mark.slow


class NumberedQueue(Queue):
    """Tells how many times it has looked; one look fails, if it is to."""

    def __init__(self, realm: Realm, failing: int = 0) -> None:
        self._numbers = itertools.count(1)
        self._failing = failing
        super().__init__(realm)

    def _found(self) -> tuple[str, dict[str, Any]]:
        number = next(self._numbers)
        if number == self._failing:
            raise Unavailable("Not now.")
        kind, content = super()._found()
        return kind, content | {"number": number}


def test_ones_queries_are_shown_and_can_be_cancelled(realm: Realm) -> None:
    running = realm.submit(Query.ask("one two three four", "endless"))
    queue = Queue(realm)
    browser = Browser(queue)
    told = browser.await_("queue", lambda one: bool(one["mine"]))
    assert told["open"]
    assert told["mine"][0]["words"] == "one two three four"
    assert told["mine"][0]["line"].startswith("endless · ")
    assert "echo" in [lane["cells"][0] for lane in told["lanes"]]
    browser.say(kind="cancel", id=running.id)
    browser.await_("queue", lambda one: not one["mine"])
    assert realm.info(running.id).stage == "cancelled"
    queue.close()


def test_what_one_spent_is_shown_by_model_and_day(realm: Realm) -> None:
    realm.ask("hello")
    cost = Cost(realm, days=3)
    told = Browser(cost).await_("cost")
    assert "echo" in [row[0] for row in told["models"]]
    assert told["days"][-1]["share"] == 1
    assert told["span"] == "in 3 days"
    cost.close()


def test_nobody_looks_when_nobody_sees(realm: Realm) -> None:
    queue = Queue(realm)
    browser = Browser(queue)
    browser.await_("queue")
    browser.say(kind="gone", view="first")
    queue.look()
    looker = queue._looker
    assert looker is not None
    looker.join(60)
    assert not looker.is_alive()
    browser.say(kind="still", view="first")
    assert queue._looker is not looker
    queue.close()


def test_a_realm_that_is_gone_is_told() -> None:
    with Realm("http://127.0.0.1:9/", "nobody", give_up_seconds=0.1) as realm:
        queue = Queue(realm)
        browser = Browser(queue)
        assert browser.await_("trouble", lambda one: bool(one["words"]))["words"]
        queue.close()


def test_a_cancel_that_failed_is_told_until_something_else_is_done(realm: Realm) -> None:
    queue = NumberedQueue(realm)
    browser = Browser(queue)
    browser.await_("queue")
    browser.say(kind="cancel", id="0" * 32)
    words = browser.await_("trouble")["words"]
    assert words
    before = browser.latest("queue")
    assert before is not None
    for number in range(before["number"] + 1, before["number"] + 4):
        queue.look()
        browser.await_("queue", lambda one, number=number: one["number"] >= number)  # type: ignore[misc]
    assert browser.latest("trouble") == {"kind": "trouble", "words": words}
    browser.say(kind="other")
    assert browser.latest("trouble") == {"kind": "trouble", "words": ""}
    queue.close()


def test_a_look_that_failed_is_told_until_one_succeeds(realm: Realm) -> None:
    queue = NumberedQueue(realm, failing=1)
    browser = Browser(queue)
    assert browser.await_("trouble")["words"] == "Not now."
    queue.look()
    browser.await_("trouble", lambda one: not one["words"])
    queue.close()
