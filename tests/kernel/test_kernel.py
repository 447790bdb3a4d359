"""The MTOR kernel."""

import pytest

from tests.kernel.driving import Kernel, Message, kernel

SECRET = "s3cr3tvalue"


def printed_go(message: Message) -> bool:
    return message["content"].get("text") == "go\n"


def test_the_kernel_has_mtor_and_a_realm() -> None:
    with kernel("mtor", MTOR_URL="http://127.0.0.1:9/", MTOR_TOKEN="x") as fresh:
        assert fresh.value("type(realm).__module__") == "'mtor_kernel.client.sync'"
        assert "%mtor ask" in fresh.run("%mtor help").printed
        loaded = "[name for name in ('dask', 'distributed', 'sqlalchemy') if name in sys.modules]"
        fresh.run("import sys")
        assert fresh.value(loaded) == "[]"
        assert "realm" not in fresh.run("%who").printed


def test_it_is_a_python_kernel(mtor: Kernel) -> None:
    mtor.client.kernel_info()
    info = mtor.client.get_shell_msg(timeout=100)["content"]
    assert info["implementation"] == "mtor"
    assert info["language_info"]["name"] == "python"
    assert info["banner"].startswith("MTOR ")


# Short sleeps: Python notices a signal that comes right before a sleep begins only after it.
@pytest.mark.parametrize("code", ["await asyncio.sleep(600)", "while True: time.sleep(0.1)"])
def test_an_interrupt_stops_a_cell_at_once(mtor: Kernel, code: str) -> None:
    ran = mtor.run(f"import asyncio, time\nprint('go', flush=True)\n{code}", seen=printed_go)
    assert ran.status == "error"


def test_a_cell_that_calls_the_computer_is_asked(mtor: Kernel) -> None:
    ran = mtor.run("Computer, what do bees make?")
    assert ran.status == "ok"
    assert ran.plain.startswith("what do bees make?\n\necho · ")


def test_the_question_is_told_of_the_variables_it_mentions(mtor: Kernel) -> None:
    mtor.run("bees, wasps = [1, 2, 3], 'none'")
    assert mtor.run("computer: how many bees are there?").plain.startswith(
        "how many bees are there?\n\n(In the notebook: bees is a list of length 3.)\n\n"
    )


def test_values_travel_only_where_they_are_asked_for(mtor: Kernel) -> None:
    mtor.run(f"word, words, table = '{SECRET}', ['{SECRET}'], {{'{SECRET}': 1}}")
    asked = "Computer, what is word, what are words and table?"
    assert SECRET not in mtor.run(asked).plain
    assert SECRET in mtor.run("Computer, what is {word}?").plain


def test_the_history_keeps_what_was_typed(mtor: Kernel) -> None:
    mtor.run("Computer, what do bees make?")
    ran = mtor.run("%history -l 1")
    assert "Computer, what do bees make?" in ran.printed


def test_a_variable_named_computer_is_still_python(mtor: Kernel) -> None:
    assert mtor.run("Computer, other = 1, 2").status == "ok"
    assert mtor.value("Computer + other") == "3"


def test_the_realm_is_back_after_a_reset() -> None:
    with kernel("mtor", MTOR_URL="http://127.0.0.1:9/", MTOR_TOKEN="x") as fresh:
        fresh.run("mine = 1\n%reset -f")
        assert fresh.value("type(realm).__name__") == "'Realm'"
        assert fresh.value("'mine' in globals()") == "False"
        assert "realm" not in fresh.run("%who").printed


def test_who_deletes_the_name_or_takes_it_has_it_as_they_want() -> None:
    with kernel("mtor", MTOR_URL="http://127.0.0.1:9/", MTOR_TOKEN="x") as fresh:
        fresh.run("del realm")
        fresh.run("1")
        assert fresh.value("'realm' in globals()") == "False"
        fresh.run("%reset -f\nrealm = 'mine'")
        assert fresh.value("realm") == "'mine'"
        fresh.run("2")
        assert fresh.value("realm") == "'mine'"
