"""What asks for help with code, as a command and in plain words."""

import pytest
from IPython.core.error import UsageError

from mtor_kernel.magics.aid import Aid, aid_said
from mtor_kernel.magics.arguments import Ask, parse


def test_a_command_takes_options_and_words() -> None:
    assert parse("explain") == Aid("explain")
    assert parse("fix --values -m coder -t 0 keep the names") == Aid(
        "fix", "keep the names", "coder", {"temperature": 0.0}, values=True
    )
    assert parse("doc np.mean") == Aid("doc", "np.mean")
    assert parse("write --as answer", "a loop\nthat ends") == Aid(
        "write", "a loop\nthat ends", bind="answer"
    )


@pytest.mark.parametrize("line", ["doc", "write", "write -m coder"])
def test_what_is_missing_is_named(line: str) -> None:
    with pytest.raises(UsageError, match="Of what"):
        parse(line)


def test_values_belong_to_errors() -> None:
    with pytest.raises(UsageError):
        parse("doc --values sorted")
    assert isinstance(parse("ask explain"), Ask)


@pytest.mark.parametrize(
    ("question", "command", "words"),
    [
        ("explain the error", "explain", ""),
        ("What went wrong?", "explain", ""),
        ("why did that fail?", "explain", ""),
        ("please explain the last error.", "explain", ""),
        ("fix it", "fix", ""),
        ("can you fix the cell, please", "", ""),
        ("please fix the last cell please", "fix", ""),
        ("mend this code!", "fix", ""),
        (
            "write me a function that adds\ntwo numbers",
            "write",
            "write me a function that adds\ntwo numbers",
        ),
        ("Write some Python code for a plot.", "write", "Write some Python code for a plot."),
        ("document `mean`", "doc", "mean"),
        ("what does np.linspace do?", "doc", "np.linspace"),
        ("explain mean", "doc", "mean"),
        ("write a poem about errors", "", ""),
        ("explain why the sky is blue", "", ""),
        ("what is `ages`?", "", ""),
        ("is there an error in {text}?", "", ""),
        ("fix the date of the meeting", "", ""),
        ("explain the error of measurement in {paper}", "", ""),
    ],
)
def test_plain_words_mean_a_command_only_where_they_certainly_do(
    question: str, command: str, words: str
) -> None:
    assert aid_said(question) == ((command, words) if command else None)
