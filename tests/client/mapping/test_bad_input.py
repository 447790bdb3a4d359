"""What cannot be mapped is said before anything is asked."""

from pathlib import Path
from typing import Any

import dask.bag
import pandas as pd
import polars as pl
import pytest

from mtor_kernel.client import Realm
from mtor_kernel.protocol.errors import BadInput, RealmError, TooLarge, UnknownModel, UnknownOption

TABLE = pd.DataFrame({"text": ["a", "b"]})


@pytest.mark.parametrize(
    ("prompt", "data", "how", "says"),
    [
        ("of {text}", [], {}, "no rows"),
        ("of {text}", pd.DataFrame({"text": []}), {}, "no rows"),
        ("of {text}", pl.DataFrame({"text": []}), {}, "no rows"),
        ("of {text}", pd.Series([], dtype=str), {}, "no rows"),
        ("of {text}", pl.DataFrame({"text": ["a"]}).lazy(), {}, "collect"),
        ("of {txt}", TABLE, {}, "no column 'txt'"),
        ("of {txt}", [{"text": "a"}], {}, "no column 'txt'"),
        ("of it", TABLE, {}, "asks the same of every row"),
        (7, TABLE, {}, "not a int"),
        ("of {text}", "a text", {}, "realm.ask"),
        ("of {text}", 7, {}, "cannot be mapped"),
        ("of {text}", iter(["a"]), {}, "list"),
        ("of {text}", [{"text": "a"}, "b"], {}, "one kind"),
        ("of {text}", pd.DataFrame([["a", "b"]], columns=["text", "text"]), {}, "Two columns"),
        ("of {text}", TABLE, {"into": 3}, "into"),
        ("of {text}", TABLE.assign(answer="mine"), {}, "'answer' already"),
        ("of {text}", TABLE.assign(why_error="mine"), {"into": "why"}, "'why_error' already"),
        ("of {text}", TABLE, {"into": "text"}, "'text' already"),
        ("of {text}", pl.DataFrame({"text": ["a"], "answer": ["b"]}), {}, "'answer' already"),
        ("of {text}", [{"text": "a", "answer": "b"}], {}, "'answer' already"),
        ("of {text}", TABLE, {"on_error": "skip"}, "keep"),
        ("of {text}", TABLE, {"schema": 3}, "schema is"),
        ("of {text}", TABLE, {"attach": "photo"}, "no column 'photo'"),
        ("of {text}", TABLE, {"window": 0}, "window"),
        ("of {text}", TABLE, {"window": "2"}, "window"),
        ("of {text}", TABLE, {"retries": -1, "schema": {}}, "retries"),
        ("of {text}", TABLE, {"retries": "2"}, "retries"),
        ("of {text}", TABLE, {"ask_above": "2"}, "ask_above"),
        ("of {text}", TABLE, {"run": "half \ud800"}, "run"),
        ("of {text}", TABLE, {"kind": "smell"}, "kind"),
        ("What is it {x}?", [Path("a.png")], {}, "leave"),
        ("of {text}", [None, None], {}, "No row can be asked"),
        ("of {text}", [object(), [object()]], {}, "no words of its own"),
    ],
)
def test_it_is_said_with_no_realm_in_sight(
    prompt: Any, data: Any, how: dict[str, Any], says: str
) -> None:
    with Realm("http://127.0.0.1:9/", "no-token", give_up_seconds=1) as nowhere:
        with pytest.raises(BadInput, match=says):
            nowhere.map(prompt, data, progress=False, **how)
        assert nowhere.last_map is None


@pytest.mark.parametrize(
    ("model", "how", "error"),
    [
        ("no-such", {}, UnknownModel),
        ("chat", {"max_tokens": 10_000_000}, UnknownOption),
        ("chat", {"tempo": 3}, UnknownOption),
        ("vectors", {"schema": {"type": "object"}}, UnknownOption),
        ("formless", {"schema": {"type": "object"}}, UnknownOption),
    ],
)
def test_what_no_row_could_be_asked_ends_the_map_and_costs_nothing(
    realm: Realm, model: str, how: dict[str, Any], error: type[RealmError]
) -> None:
    before = realm.me()
    with pytest.raises(error):
        realm.map("of {text}", TABLE, model, progress=False, **how)
    after = realm.me()
    assert (after.balance_micro, after.held_micro) == (before.balance_micro, 0)


def test_a_row_that_cannot_be_asked_fails_alone(realm: Realm) -> None:
    texts = ["first", None, "x" * 10_000_000, "nul\0", "", "half \ud800", b"bytes", 7, "last"]
    found = realm.map("{text}", texts, run="bad rows", progress=False)
    assert found == ["first", None, None, None, None, None, None, "7", "last"]
    assert realm.last_map is not None
    assert sorted(found.errors) == [1, 2, 3, 4, 5, 6]
    assert isinstance(realm.last_map.errors[2], TooLarge)
    assert (realm.last_map.done, realm.last_map.failed) == (3, 6)


def test_a_row_that_is_too_long_for_the_model_fails_alone(realm: Realm) -> None:
    texts = ["short", "long " * 2000, "brief"]
    found = realm.map("{text}", texts, "forgetful", progress=False)
    assert found == ["short", None, "brief"]
    assert "context" in found.errors[1] or "fit" in found.errors[1]
    with pytest.raises(TooLarge):
        realm.map("{text}", texts[1:2], "forgetful", progress=False)


def test_raise_says_which_row_before_anything_is_asked(realm: Realm) -> None:
    before = len(realm.queries(limit=200))
    with pytest.raises(BadInput, match=r"Row 1: .* Nothing was asked"):
        realm.map("{text}", ["not asked", None], on_error="raise", progress=False)
    assert len(realm.queries(limit=200)) == before


def test_raise_ends_the_map_with_the_row_that_failed(realm: Realm) -> None:
    with pytest.raises(RealmError, match="Row 0"):
        realm.map("{text}", ["a", "b"], "broken", on_error="raise", progress=False)
    assert realm.me().held_micro == 0


def test_a_bag_that_changes_its_kind_later_is_refused_before_anything_is_asked(
    realm: Realm,
) -> None:
    first: list[Any] = [{"text": "mapping"}, {"text": "mapping"}]
    before = len(realm.queries(limit=200))
    for rows in ([*first, "text", "text"], ["text", "text", *first]):
        bag = dask.bag.from_sequence(rows, npartitions=2)
        with pytest.raises(BadInput, match="one kind"):
            realm.map("{text}", bag, progress=False)
    assert len(realm.queries(limit=200)) == before


def test_keys_of_mappings_need_not_be_texts(realm: Realm) -> None:
    found = realm.map("{1}", [{1: "one", 2: "two"}], progress=False)
    assert found == [{1: "one", 2: "two", "answer": "one", "answer_error": None}]
