"""The queue, and what one spends, with a real realm behind."""

import pytest

from mtor_kernel.client import Realm
from mtor_kernel.protocol.query import Query
from mtor_kernel.widgets import Cost, Queue
from tests.widgets.browser_double import Browser

pytestmark = pytest.mark.slow


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
