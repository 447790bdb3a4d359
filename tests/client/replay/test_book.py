"""The file of recorded answers: whole lines, and what is said where one is not."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from mtor_kernel.client.replay.book import Book
from mtor_kernel.client.replay.record import Cell, Record, question_of, seal, unseal
from mtor_kernel.protocol.account import Charge
from mtor_kernel.protocol.errors import ReplayDamaged, Unavailable
from mtor_kernel.protocol.ngram import Settled
from mtor_kernel.protocol.query import Query, Text


def record(prompt: str, answer: str = "", number: int = 1, key: str = "") -> Record:
    query = Query.ask(prompt, "echo")
    return Record(
        question_of(query),
        number,
        query,
        Settled("0" * 32, 1, "echo", Charge()),
        (Text(answer or prompt),),
        key,
        cell=Cell("", 1, prompt),
    )


def book_of(path: Path, *prompts: str) -> Book:
    book = Book(path)
    for prompt in prompts:
        book.add(record(prompt))
    return book


def prompts(book: Book) -> list[str]:
    return [one.query.messages[-1].text for one in book.records]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "demo.mtor.jsonl"


def test_a_line_comes_back_as_it_was_written() -> None:
    assert unseal(seal(record("snow ☃ \r\n and \u2028"))) == record("snow ☃ \r\n and \u2028")


def test_what_is_asked_names_the_question_and_how_long_it_may_take_does_not() -> None:
    asked = question_of(Query.ask("a", seed=1))
    assert asked == question_of(
        Query(Query.ask("a").messages, options=Query.ask("a", seed=1).options, ttl_seconds=9)
    )
    assert asked != question_of(Query.ask("a", seed=2))
    assert asked != question_of(Query.ask("a", "other", seed=1))
    one, other = {"a": "1", "b": "2"}, {"b": "2", "a": "1"}
    assert question_of(Query.ask("", parameters=one)) == question_of(
        Query.ask("", parameters=other)
    )


def test_another_reader_finds_what_was_added_since(path: Path) -> None:
    writer, reader = book_of(path, "one"), Book(path)
    reader.refresh()
    assert prompts(reader) == ["one"]
    writer.add(record("two"))
    reader.refresh()
    assert prompts(reader) == ["one", "two"]


def test_an_answer_that_is_recorded_anew_takes_the_place_of_the_old_one(path: Path) -> None:
    book = book_of(path, "one", "two")
    book.add(record("one", "better"))
    again = Book(path)
    again.refresh()
    assert prompts(again) == ["one", "two"]
    found = again.find(record("one").question, 1)
    assert found is not None
    assert found.parts == (Text("better"),)


def test_a_key_is_looked_for_before_a_number(path: Path) -> None:
    book = Book(path)
    book.add(record("one", "first", 1, "k1"))
    book.add(record("one", "second", 2, "k2"))
    found = book.find(record("one").question, 1, "k2")
    assert found is not None
    assert found.parts == (Text("second"),)


@pytest.mark.parametrize("line", [1, 2, 3])
def test_an_edited_line_is_named_and_nothing_is_lost(path: Path, line: int) -> None:
    book_of(path, "one", "two", "three")
    lines = path.read_text().splitlines(keepends=True)
    lines[line - 1] = lines[line - 1].replace("o", "0", 1)
    path.write_text("".join(lines))
    before = path.read_bytes()
    with pytest.raises(ReplayDamaged, match=rf"demo.mtor.jsonl, line {line}: it was changed"):
        Book(path).refresh()
    with pytest.raises(ReplayDamaged, match=f"line {line}"):
        Book(path).add(record("four"))
    assert path.read_bytes() == before


def test_a_line_that_was_formatted_anew_is_an_edited_one(path: Path) -> None:
    book_of(path, "one")
    path.write_text(json.dumps(json.loads(path.read_text())) + "\n")
    with pytest.raises(ReplayDamaged, match="line 1"):
        Book(path).refresh()


def test_a_last_line_that_is_cut_off_is_named_as_that(path: Path) -> None:
    book_of(path, "one", "two")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ReplayDamaged, match=r"line 2: it is cut off.*mtor replay mend"):
        Book(path).refresh()


def test_mending_puts_damaged_lines_aside_and_keeps_the_rest(path: Path) -> None:
    book_of(path, "one", "two", "three")
    whole = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(whole[0] + b"<<<<<<< HEAD\n" + whole[1] + whole[2][:-9])
    book = Book(path)
    assert book.mend() == 2
    assert prompts(book) == ["one", "two"]
    aside = path.with_name("demo.mtor.jsonl.damaged").read_bytes()
    assert aside == b"<<<<<<< HEAD\n" + whole[2][:-9] + b"\n"
    assert book.mend() == 0
    book.add(record("four"))
    assert prompts(book) == ["one", "two", "four"]


def test_line_ends_that_an_editor_or_git_made_are_no_damage(path: Path) -> None:
    book_of(path, "one", "two")
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n").removesuffix(b"\r\n"))
    book = Book(path)
    book.add(record("three"))
    again = Book(path)
    again.refresh()
    assert prompts(again) == ["one", "two", "three"]


def test_a_file_that_cannot_be_written_loses_nothing(path: Path) -> None:
    book = book_of(path, "one")
    before = path.read_bytes()
    path.unlink()
    path.mkdir()
    with pytest.raises(Unavailable, match="cannot be read"):
        book.add(record("two"))
    path.rmdir()
    path.write_bytes(before)
    book.add(record("two"))
    assert prompts(book) == ["one", "two"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder").touch()
    with pytest.raises(Unavailable, match=r"cannot be recorded in .*folder"):
        Book(tmp_path / "folder" / "demo.mtor.jsonl").add(record("one"))


def test_many_writers_in_threads_and_processes_mix_nothing(path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from tests.client.replay.test_book import Book, record\n"
        "book = Book(Path(sys.argv[1]))\n"
        "for at in range(40): book.add(record(f'{sys.argv[2]} {at}', 'x' * 5000))"
    )
    children = [
        subprocess.Popen([sys.executable, "-c", program, os.fspath(path), name], env=os.environ)
        for name in ("one", "two")
    ]
    book = Book(path)
    threads = [
        threading.Thread(target=lambda at=at: book.add(record(f"thread {at}"))) for at in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [child.wait(60) for child in children] == [0, 0]
    again = Book(path)
    again.refresh()
    assert len(again.records) == 100


def test_a_killed_writer_leaves_all_that_it_told_of(path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from tests.client.replay.test_book import Book, record\n"
        "book = Book(Path(sys.argv[1]))\n"
        "for at in range(10**6):\n book.add(record(f'{at}', 'x' * 50000))\n print(at, flush=True)"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program, os.fspath(path)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    told = [int(child.stdout.readline()) for _ in range(5)][-1]
    child.kill()
    child.wait()
    child.stdout.close()
    book = Book(path)
    if not path.read_bytes().endswith(b"\n"):  # it was in mid-write
        with pytest.raises(ReplayDamaged, match="cut off"):
            book.refresh()
        assert book.mend() == 1
    book.refresh()
    assert len(book.records) > told


def test_what_is_no_file_is_refused_in_a_sentence(path: Path) -> None:
    path.mkdir()
    looped = path.with_name("loop.mtor.jsonl")
    looped.symlink_to(looped)
    pipe = path.with_name("pipe.mtor.jsonl")
    os.mkfifo(pipe)
    for odd in (path, looped, pipe):
        with pytest.raises(Unavailable, match="cannot be read"):
            Book(odd).refresh(shared=False)
        with pytest.raises(Unavailable, match="cannot be read"):
            Book(odd).add(record("one"))
