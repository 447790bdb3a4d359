"""A map through a real realm, over every kind of data."""

import asyncio
import dataclasses
import re
from pathlib import Path
from typing import Any

import dask.bag
import dask.dataframe
import pandas as pd
import polars as pl
import pytest

from mtor_kernel.client import Picture, Realm
from mtor_kernel.protocol.account import MICRO
from mtor_kernel.protocol.errors import BackendFailed, BadInput
from mtor_kernel.protocol.query import Priority
from tests.modalities import picture

TEXTS = ["one", "two", None, "two", "five"]
SAID = ["of one", "of two", None, "of two", "of five"]


@dataclasses.dataclass
class Rating:
    label: str
    score: int


def lacking(column: Any) -> list[bool]:
    return [value is None or value != value for value in column]


@pytest.mark.parametrize("index", [range(5), [1, 1, 1, 2, 2], list("abcde")])
def test_a_pandas_table_comes_back_with_answers_and_failures(realm: Realm, index: Any) -> None:
    table = pd.DataFrame({"text": TEXTS, "n": range(5)}, index=index)
    found = realm.map("of {text}", table, into="label", progress=False)
    assert list(found.columns) == ["text", "n", "label", "label_error"]
    assert list(found.index) == list(index)
    assert list(found.label.dropna()) == [said for said in SAID if said]
    assert lacking(found.label_error) == [True, True, False, True, True]
    assert list(table.columns) == ["text", "n"]


def test_a_pandas_column_comes_back_as_one(realm: Realm) -> None:
    column = pd.Series(TEXTS, index=list("aabbc"))
    found = realm.map("of {text}", column, into="label", progress=False)
    assert (found.name, list(found.index)) == ("label", list("aabbc"))
    assert list(found.dropna()) == [said for said in SAID if said]
    assert list(found.attrs["errors"]) == [2]


def test_a_polars_table_and_column_come_back_as_such(realm: Realm) -> None:
    table = pl.DataFrame({"text": TEXTS})
    found = realm.map("of {text}", table, into="label", progress=False)
    assert found.columns == ["text", "label", "label_error"]
    assert found["label"].to_list() == SAID
    assert found["label_error"].is_null().to_list() == [True, True, False, True, True]
    column = realm.map("of {text}", table["text"], progress=False)
    assert (column.name, column.to_list()) == ("answer", SAID)


def test_lists_give_answers_and_mappings_themselves_with_answers(realm: Realm) -> None:
    found = realm.map("of {text}", TEXTS, progress=False)
    assert (found, list(found.errors)) == (SAID, [2])
    rows = [{"text": "one"}, {"text": None}]
    assert realm.map("of {text}", rows, into="label", progress=False) == [
        {"text": "one", "label": "of one", "label_error": None},
        {"text": None, "label": None, "label_error": "The row has no value in the column 'text'."},
    ]


@pytest.mark.parametrize("parts", [1, 2, 5])
def test_a_dask_table_is_mapped_by_partitions(realm: Realm, parts: int) -> None:
    table = pd.DataFrame({"text": TEXTS, "n": range(5)})
    lazy = dask.dataframe.from_pandas(table, npartitions=parts)
    found = realm.map("of {text}", lazy, into="label", progress=False)
    assert isinstance(found, dask.dataframe.DataFrame)
    assert found.npartitions == lazy.npartitions
    assert found.divisions == lazy.divisions
    here = found.compute(scheduler="sync")
    assert list(here.columns) == ["text", "n", "label", "label_error"]
    assert list(here.label.dropna()) == [said for said in SAID if said]
    assert list(here.index) == list(range(5))
    column = realm.map("of {text}", lazy["text"], progress=False)
    assert list(column.compute(scheduler="sync").dropna()) == [said for said in SAID if said]


def test_a_dask_table_takes_answers_in_a_form(realm: Realm) -> None:
    lazy = dask.dataframe.from_pandas(pd.DataFrame({"text": TEXTS}), npartitions=2)
    found = realm.map("of {text}", lazy, "clerk", schema=Rating, progress=False)
    here = found.compute(scheduler="sync")
    assert here.answer[0] == Rating("good", 3)
    assert found.partitions[1].compute(scheduler="sync").text.tolist() == TEXTS[3:]


def test_a_dask_bag_is_mapped_by_partitions(realm: Realm) -> None:
    bag = dask.bag.from_sequence(TEXTS, npartitions=3)
    found = realm.map("of {text}", bag, progress=False)
    assert isinstance(found, dask.bag.Bag)
    assert found.compute(scheduler="sync") == SAID
    rows = dask.bag.from_sequence([{"text": "one"}, {"text": "two"}], npartitions=2)
    asked = realm.map("of {text}", rows, progress=False).compute(scheduler="sync")
    assert [row["answer"] for row in asked] == ["of one", "of two"]


def test_files_go_along(realm: Realm, tmp_path: Path) -> None:
    paths = [tmp_path / "a.png", tmp_path / "missing.png", tmp_path / "b.png"]
    for path in (paths[0], paths[2]):
        path.write_bytes(picture("PNG"))
    found = realm.map("What is it?", paths, "eye", progress=False)
    assert "1 picture" in found[0]
    assert "1 picture" in found[2]
    assert "no file" in found.errors[1]
    names = [str(path) for path in paths]
    assert realm.map("What is it?", names, "eye", kind="image", progress=False) == found
    table = pd.DataFrame({"photo": names, "name": ["A", "B", "C"]})
    asked = realm.map("Is it {name}?", table, "eye", attach="photo", progress=False)
    assert asked.answer[0].endswith("Is it A?")


def test_vectors_and_pictures_are_answers_too(realm: Realm) -> None:
    vectors = realm.map("{}", ["sea", "sky"], "vectors", progress=False)
    assert [len(vector) for vector in vectors] == [3, 3]
    (drawn,) = realm.map("a {thing}", ["heart"], "brush", progress=False, width=32, height=32)
    assert isinstance(drawn, Picture)
    assert drawn.content.startswith(b"\x89PNG")


def test_a_model_is_told_what_is_wrong_with_its_form(realm: Realm) -> None:
    found = realm.map("of {text}", ["a", "b"], "clerk", schema=Rating, progress=False)
    assert found == [Rating("good", 3)] * 2
    assert realm.last_map is not None
    assert realm.last_map.charged_micro == 4 * 7
    again = realm.map("of {text}", ["a", "b"], "clerk", schema=Rating, progress=False)
    assert (again, realm.last_map.charged_micro, realm.last_map.earlier) == (found, 0, 4)


def test_a_model_that_never_finds_the_form_fails_its_row(realm: Realm) -> None:
    found = realm.map("{text}", ['{"label": "x", "score": 1}', "no"], schema=Rating, progress=False)
    assert found == [Rating("x", 1), None]
    assert realm.last_map is not None
    assert isinstance(realm.last_map.errors[1], BackendFailed)


def test_a_table_that_was_mapped_is_mapped_again_in_place(realm: Realm) -> None:
    once = realm.map("of {text}", pd.DataFrame({"text": TEXTS}), into="label", progress=False)
    again = realm.map("again {text}", once, into="label", progress=False)
    assert list(again.columns) == ["text", "label", "label_error"]
    assert again.label[0] == "again one"
    assert once.label[0] == "of one"


def test_the_estimate_holds_for_answers_that_are_asked_again(
    realm: Realm, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("builtins.input", lambda question: asked.append(question) or "y")
    texts, with_form = ["a", "b"], {"schema": Rating, "progress": False, "ask_above": 0}
    realm.map("first {text}", texts, "clerk", **with_form)  # which never fits at once
    found = re.search(r"at most ([\d.]+) credits \(([\d.]+) if each answer fits", asked[0])
    assert found is not None
    assert realm.last_map is not None
    most, once = (round(float(figure) * MICRO) for figure in found.groups())
    assert (once, realm.last_map.charged_micro, most) == (2 * 7, 4 * 7, 6 * 7)
    realm.map("then {text}", texts, "clerk", retries=0, **with_form)
    assert (realm.last_map.failed, realm.last_map.charged_micro) == (2, 2 * 7)
    assert "each answer" not in asked[1]


def test_a_model_that_keeps_to_no_form_is_paid_for_a_few_rows_and_no_more(realm: Realm) -> None:
    rows = [f"formless {n}" for n in range(60)]
    with pytest.raises(BackendFailed, match="none of the first 8 rows"):
        realm.map("{text}", rows, schema=Rating, progress=False)
    assert realm.last_map is not None
    assert (realm.last_map.failed, realm.last_map.done) == (8, 0)
    assert len(realm.queries("formless", limit=200)) == 8
    assert realm.me().held_micro == 0


def test_one_answer_that_fits_lets_all_rows_be_asked(realm: Realm) -> None:
    rows = [f"hard {n}" for n in range(30)]
    rows[7] = '{"label": "x", "score": 1}'
    found = realm.map("{text}", [None, *rows], schema=Rating, retries=1, progress=False)
    assert found[8] == Rating("x", 1)
    assert len(found.errors) == 30


def test_polars_has_structs_where_answers_have_a_form(realm: Realm) -> None:
    found = realm.map(
        "{text}", pl.Series(['{"label": "x", "score": 1}']), schema=Rating, progress=False
    )
    assert found.dtype == pl.Struct({"label": pl.String, "score": pl.Int64})


def test_the_loop_of_a_notebook_stays_free(realm: Realm) -> None:
    async def both() -> tuple[Any, bool]:
        mapping = asyncio.ensure_future(realm.amap("{x}", ["a", "b"], "slow", progress=False))
        await asyncio.sleep(0)
        free = not mapping.done()
        return await mapping, free

    found, free = asyncio.run(both())
    assert free
    assert len(found) == 2


def test_rows_wait_behind_people(realm: Realm) -> None:
    realm.map("patient {x}", ["a"], progress=False)
    (row,) = realm.queries("patient")
    query = realm.info(row.id).query
    assert query is not None
    assert query.priority is Priority.BATCH


def test_a_costly_map_asks_first(realm: Realm, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def say(answer: str) -> None:
        monkeypatch.setattr("builtins.input", lambda question: asked.append(question) or answer)

    with pytest.raises(BadInput, match="ask_above="):
        realm.map("costly {x}", ["a"], ask_above=0, progress=False)
    say("n")
    with pytest.raises(BadInput, match="You said no"):
        realm.map("costly {x}", ["a"], ask_above=0, progress=False)
    assert not realm.queries("costly")
    say("y")
    assert realm.map("costly {x}", ["a"], ask_above=0, progress=False) == ["costly a"]
    assert asked[0].startswith("1 row of echo: at most 0.00")


def test_the_bar_tells_what_was_done_and_what_it_cost(
    realm: Realm, capfd: pytest.CaptureFixture[str]
) -> None:
    realm.map("shown {x}", ["a", None])
    told = capfd.readouterr()
    assert "1 row of echo: at most" in told.out
    assert "2/2" in told.err
    assert "failed=1" in told.err
    assert "credits=" in told.err
