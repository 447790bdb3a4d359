"""What stands after %mtor and %%mtor."""

import pytest
from IPython.core.error import UsageError

from mtor_kernel.magics.arguments import HELP, LOOKING, Ask, Look, parse
from mtor_kernel.magics.options import split


def test_a_cell_is_a_question_to_the_default_model() -> None:
    assert parse("", "What do bees make?\n") == Ask("ask", "What do bees make?")


def test_line_ends_of_windows_are_line_ends() -> None:
    assert parse("", "one\r\ntwo\r\n") == Ask("ask", "one\ntwo")
    assert parse("chat -c bees", "\r\nHi\r\n") == Ask("chat", "Hi", conversation="bees")


def test_a_line_is_a_question_word_for_word() -> None:
    asked = parse("""ask What's "this" \\n and -t 2?""")
    assert asked == Ask("ask", """What's "this" \\n and -t 2?""")


def test_every_option_is_understood() -> None:
    line = "-m smollm2 -t 0.5 --max-tokens 20 --seed 7 --system 'Be brief.' --as answer --no-stream"
    assert parse(line, "Hello") == Ask(
        command="ask",
        prompt="Hello",
        model="smollm2",
        options={"temperature": 0.5, "max_tokens": 20, "seed": 7},
        system="Be brief.",
        bind="answer",
        stream=False,
    )


@pytest.mark.parametrize(
    "line", ["-m qwen hi", "-mqwen hi", "--model qwen hi", "--model=qwen hi", "-m 'qwen' hi"]
)
def test_an_option_may_be_written_as_in_any_shell(line: str) -> None:
    assert parse(f"ask {line}") == Ask("ask", "hi", model="qwen")


def test_a_prompt_may_begin_with_a_dash_after_two_dashes() -> None:
    assert parse("ask -m qwen -- -5 + 3?") == Ask("ask", "-5 + 3?", model="qwen")


def test_options_end_where_the_prompt_begins() -> None:
    assert split("--no-stream tell me about -m and --as") == (
        ["--no-stream"],
        "tell me about -m and --as",
    )


def test_a_conversation_has_a_name() -> None:
    assert parse("chat -c bees", "Hi") == Ask("chat", "Hi", conversation="bees")
    assert parse("chat Hi") == Ask("chat", "Hi", conversation="main")


@pytest.mark.parametrize("command", ["models", "workers", "queue", "me", "history", "help"])
def test_a_command_that_looks_stands_alone(command: str) -> None:
    assert parse(command) == Look(command)


def test_nothing_at_all_asks_for_help() -> None:
    assert parse("") == Look("help")


def test_what_follows_a_command_is_kept() -> None:
    assert parse("cancel 12ab") == Look("cancel", "12ab")
    assert parse("forget bees") == Look("forget", "bees")
    assert parse("history two words") == Look("history", "two words")


@pytest.mark.parametrize(
    ("line", "cell", "says"),
    [
        ("What is it?", None, "%mtor ask What is it?"),
        ("smollm2", "Hello", "%%mtor -m smollm2"),
        ("", "  \n", "prompt is empty"),
        ("ask", None, "prompt is empty"),
        ("ask -t warm Hi", None, "invalid float"),
        ("ask --temprature 1 Hi", None, "--temprature"),
        ("ask --as 2x Hi", None, "'2x' can't be the name of a variable"),
        ("ask --as class Hi", None, "'class' can't be"),
        ("ask -m Big! Hi", None, "%mtor models shows the names"),
        ("ask -c bees Hi", None, "%%mtor chat -c NAME"),
        ("ask --system 'open Hi", None, "not closed"),
        ("ask -m", None, "prompt is empty"),
        ("models now", None, "leave out 'now'"),
        ("models", "a cell", "on one line"),
        ("cancel", None, "%mtor cancel ID"),
    ],
)
def test_what_means_nothing_says_what_to_write_instead(
    line: str, cell: str | None, says: str
) -> None:
    with pytest.raises(UsageError) as refused:
        parse(line, cell)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    "line", ["help", "", "--help", "-h", "help see", "see --help", "imagine -h", "models --help"]
)
def test_whoever_looks_for_help_finds_it(line: str) -> None:
    assert parse(line, None) == Look("help", "")


def test_the_help_names_every_command() -> None:
    assert all(f"%mtor {command}" in HELP for command in LOOKING)
