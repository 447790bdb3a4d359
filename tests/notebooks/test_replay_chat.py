"""A conversation of which some turns are played and the next is asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from mtor_kernel.client import Realm
from mtor_kernel.client.replay import Book
from mtor_kernel.protocol.ngram import Settled
from tests.kernel.driving import Kernel, kernel
from tests.kernel.elsewhere import RealmElsewhere
from tests.realms import TOKEN

pytestmark = pytest.mark.slow

FIRST, SECOND = "%%mtor chat\nMy name is Ada.", "%%mtor chat\nWhat is my name?"


@pytest.fixture
def asked(realm: RealmElsewhere) -> Iterator[Realm]:
    with Realm(realm.small.url, TOKEN) as one:
        yield one


def turns(asked: Realm) -> list[list[str]]:
    """The questions of each conversation of the realm."""
    found = [asked.conversation(one.id) for one in asked.conversations()]
    return [[query.prompt.split("\n")[-1] for query in one.queries] for one in found]


def running(folder: Path, **environment: str) -> Iterator[Kernel]:
    with kernel("mtor", **environment) as one:
        one.run(f"import os; os.chdir({str(folder)!r})\n%mtor replay on demo.ipynb")
        yield one


def test_the_next_turn_asks_the_same_and_the_realm_gets_the_whole(
    realm: RealmElsewhere, asked: Realm, tmp_path: Path
) -> None:
    for one in running(tmp_path):
        assert one.run(FIRST).status == one.run(SECOND).status == "ok"
    assert [len(one) for one in turns(asked)] == [2]
    for one in running(tmp_path):  # all is played: nothing new at the realm
        assert one.run(FIRST).status == one.run(SECOND).status == "ok"
        assert "2" in one.value("len(realm.queries())")
        assert [len(one) for one in turns(asked)] == [2]
        assert one.run("%%mtor chat\nAnd now?").status == "ok"
        last = asked.queries(limit=1)[0]
        query = asked.info(last.id).query
        assert query is not None
        said = [message.text for message in query.messages]
        assert (said[0], said[2], said[-1]) == ("My name is Ada.", "What is my name?", "And now?")
        assert len(said) == 5
    assert [len(one) for one in turns(asked)] == [3]
    nowhere = {"MTOR_URL": "http://127.0.0.1:9/", "MTOR_TOKEN": "none", "MTOR_REPLAY": "only"}
    for one in running(tmp_path, **nowhere):
        for cell in (FIRST, SECOND, "%%mtor chat\nAnd now?"):
            assert one.run(cell).status == "ok"
        assert "NotRecorded" in one.run("%%mtor chat\nAnd now?").traceback


def test_a_turn_that_another_realm_answered_is_left_out_there_and_kept_here(
    realm: RealmElsewhere, asked: Realm, tmp_path: Path
) -> None:
    for one in running(tmp_path):
        one.run(FIRST)
    file = tmp_path / "demo.mtor.jsonl"
    book = Book(file)
    book.refresh()
    (first,) = book.records
    file.unlink()
    assert isinstance(first.end, Settled)
    foreign = msgspec.structs.replace(first.end, query="f" * 32)
    book.add(msgspec.structs.replace(first, end=foreign))
    before = len(turns(asked))
    for one in running(tmp_path):
        one.run(FIRST)
        assert one.run(SECOND).status == "ok"
    assert len(turns(asked)) == before + 1
    assert turns(asked)[0] == ["What is my name?"]
