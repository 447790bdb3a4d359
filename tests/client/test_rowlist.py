"""Rows of a table and their answers, told in words; in the history, exports and replays too."""

import time
from pathlib import Path

import pytest

from mtor_kernel.client import RealmClient
from mtor_kernel.client.replay import Mode, Replay
from mtor_kernel.client.rowlist import in_words
from mtor_kernel.magics.reports import history_table
from mtor_kernel.protocol.errors import ErrorInfo, NotRecorded, RowsKnown
from mtor_kernel.protocol.query import (
    Data,
    Image,
    Message,
    Priority,
    Query,
    RowAnswer,
    Rows,
    TableRow,
    Text,
    text_of,
)
from tests.modalities import MODALITIES
from tests.realms import TOKEN, small_realm

BEES = ("what do bees make", "who keeps bees\nand why", "where do bees live")


def rows_query(*texts: str, model: str = "echo", run: str = "") -> Query:
    turn = Message("user", (Text(texts[0]),))
    rows = tuple(TableRow(text, f"{run}{model}-{at}-{len(text)}") for at, text in enumerate(texts))
    return Query((turn,), model, priority=Priority.BATCH, rows=rows)


def words(*answers: RowAnswer, most: int | None = None) -> str:
    return text_of(in_words((Rows(answers),), most))


def test_each_row_is_told_under_its_number_in_their_order() -> None:
    told = words(RowAnswer(9, (Text("ten\nof them "),)), RowAnswer(0, (Text("one"),)))
    assert told == "1. one\n10. ten\n    of them"


def test_a_row_without_an_answer_says_why() -> None:
    error = ErrorInfo("bad_input", "The prompt is too long: shorten it.")
    assert words(RowAnswer(1, error=error)) == "2. *(The prompt is too long: shorten it.)*"
    assert words(RowAnswer(1)) == "2. *(no words)*"


def test_findings_are_short() -> None:
    vector = Data({"embedding": [0.25] * 384, "index": 0})
    assert words(RowAnswer(0, (vector,))) == "1. `[0.250, 0.250, 0.250, 0.250, …]` (384 numbers)"
    assert len(words(RowAnswer(0, (Data({"boxes": "`" * 500}),)))) < 100
    assert words(RowAnswer(0, (Data({"embedding": ["x"]}),))) == "1. `[]` (1 numbers)"


def test_of_many_rows_the_rest_is_counted() -> None:
    answers = [RowAnswer(at, (Text("yes"),)) for at in range(25)]
    assert words(*answers, most=20).endswith("\n20. yes\n\n… and 5 more rows")
    assert words(*answers[:21], most=20).endswith("… and 1 more row")
    assert "more" not in words(*answers[:20], most=20)


def test_rows_that_came_apart_are_one_list_and_other_parts_stay() -> None:
    image = Image("0" * 64)
    some, more = (Rows((RowAnswer(at, (Text(str(at)),)),)) for at in range(2))
    assert in_words((some, image, more)) == (Text("1. 0\n2. 1"), image)
    assert in_words((Text("no rows"), image)) == (Text("no rows"), image)


def test_vectors_are_no_words() -> None:
    vector = RowAnswer(0, (Data({"embedding": [0.5]}),))
    assert Rows((vector, vector)).text == ""
    assert Rows((vector, RowAnswer(1, (Text("word"),)))).text == "\nword\n"


@pytest.mark.asyncio
async def test_rows_are_remembered_listed_and_exported(tmp_path: Path) -> None:
    async with small_realm(tmp_path) as small, small.client() as realm:
        query = rows_query(*BEES)
        running = await realm.submit(query)
        reply = await running.answer()
        assert reply.text == "".join(f"{text}\n" for text in BEES)
        with pytest.raises(RowsKnown) as known:
            await realm.submit(query)
        assert known.value.details == {str(at): f"{reply.query}:{at}" for at in range(3)}
        (listed,) = await realm.history("what do bees")
        assert listed.prompt == f"3 rows, the first: {BEES[0]}"
        assert "1 query ·" in history_table([listed], time.time()).note
        (day,) = await realm.usage()
        assert day.queries == 3
        info = await realm.info(reply.query)
        assert info.query == query
        assert info.answer is not None
        assert info.answer.text == reply.text
        await realm.keep_turn(reply.query, "bees", reply.query)
        told = await realm.export_conversation(reply.query)
        listing = f"1. {BEES[0]}\n2. who keeps bees\n   and why\n3. {BEES[2]}"
        assert told.count(listing) == 2  # the questions, and the echo of them
        assert '"rows"' in await realm.export_conversation(reply.query, "json")


@pytest.mark.asyncio
async def test_vectors_of_rows_are_the_data_of_their_reply(tmp_path: Path) -> None:
    async with small_realm(tmp_path, catalogue=MODALITIES) as small, small.client() as realm:
        running = await realm.submit(rows_query(*BEES, model="embedder"))
        reply = await running.answer()
    assert reply.text == ""
    assert ["embedding" in one for one in reply.data] == [True] * 3
    assert repr(reply).startswith(f"<Reply of {reply.model}: ''")


@pytest.mark.asyncio
async def test_rows_are_played_for_the_same_rows_only(tmp_path: Path) -> None:
    file = tmp_path / "demo.mtor.jsonl"
    async with (
        small_realm(tmp_path / "realm") as small,
        RealmClient(small.url, TOKEN, replay=Replay(Mode.ON, lambda: file)) as realm,
    ):
        asked = await (await realm.submit(rows_query(*BEES))).answer()
    replay = Replay(Mode.ONLY, lambda: file)
    async with RealmClient("http://127.0.0.1:9/", TOKEN, replay=replay) as realm:
        with pytest.raises(NotRecorded, match="first row is the same, but others have changed"):
            await realm.submit(rows_query(*BEES[:2]))
        played = await (await realm.submit(rows_query(*BEES, run="second"))).answer()
    assert (played.parts, played.replayed) == (asked.parts, True)
