"""Code in a model's answer, however it is written."""

import pytest
from IPython.core.inputtransformer2 import TransformerManager

from mtor_kernel.magics.code import code_in, difference, fenced

FENCED = {
    "plain": "```python\nx = 1\n```",
    "with prose around it": "Sure! Here it is:\n\n```python\nx = 1\n```\nI hope that helps.",
    "without a language": "```\nx = 1\n```",
    "tildes": "~~~py\nx = 1\n~~~",
    "longer fences": "````python\nx = 1\n````",
    "in a list": "1. Do this:\n\n   ```python\n   x = 1\n   ```",
    "upper case and more words": '``` Python title="x"\nx = 1\n```',
    "without an end": "```python\nx = 1",
    "on one line": "```x = 1```",
    "with a language on one line": "```python x = 1```",
    "console prompts": "```pycon\n>>> x = 1\n>>> x\n1\n```".replace(">>> x\n1\n", ""),
    "Windows line ends": "```python\r\nx = 1\r\n```".replace("\r\n", "\n"),
    "no fence at all": "x = 1",
    "quoted": "```\n>>> x = 1\n```",
}


@pytest.mark.parametrize("name", FENCED)
def test_code_is_found(name: str) -> None:
    assert code_in(FENCED[name]).text == "x = 1"


@pytest.mark.parametrize(
    ("answer", "trouble"),
    [
        ("", "it has no Python code"),
        ("I cannot help with that.", "it has no Python code"),
        ("Sure", "it has no Python code"),
        ("note: this", "it has no Python code"),
        ("```\n\n```", "it has no Python code"),
        ("```bash\npip install pandas\n```", "it has no Python code"),
        ("```python\nx = (1\n```", "its code is no Python: '(' was never closed, line 1"),
        ("```python\nfor x in y\n    pass\n```", "its code is no Python: expected ':', line 1"),
        ("```python\n\0\n```", "its code is no Python: "),
        ("```python\n" + "(" * 500 + ")" * 500 + "\n```", "its code is no Python: "),
    ],
)
def test_why_there_is_none_is_said(answer: str, trouble: str) -> None:
    found = code_in(answer)
    assert found.text == ""
    assert found.trouble.startswith(trouble)


def test_of_several_pieces_the_one_like_the_cell_is_meant() -> None:
    answer = (
        "Before:\n```python\nprint('other')\n```\nInstall:\n```bash\npip\n```\n"
        "Now:\n```python\nx = mean(a)\n```"
    )
    assert code_in(answer, like="x = maen(a)").text == "x = mean(a)"
    assert code_in(answer).text == "print('other')"


def test_a_broken_piece_does_not_hide_a_whole_one() -> None:
    assert code_in("```python\nx = (\n```\nor\n```python\nx = 1\n```").text == "x = 1"


def test_magics_are_python_of_a_notebook() -> None:
    transform = TransformerManager().transform_cell
    assert (
        code_in("```python\n%time x = 1\n!ls\n```", transform=transform).text == "%time x = 1\n!ls"
    )


def test_a_difference_shows_what_changes() -> None:
    assert difference("a\nb\nc", "a\nB\nc") == "@@ -1,3 +1,3 @@\n a\n-b\n+B\n c"


def test_a_fence_is_longer_than_what_it_holds() -> None:
    assert fenced("x = 1", "diff") == "```diff\nx = 1\n```"
    inside = "a = '''\n```\n'''"
    assert code_in(fenced(inside, "python")).text == inside


@pytest.mark.timeout(100)
@pytest.mark.parametrize(
    "answer", ["```" * 20_000, "``` " * 20_000, "```python\nx = 1\n```\n" * 2_000, "(" * 50_000]
)
def test_a_hostile_answer_takes_no_time(answer: str) -> None:
    code_in(answer, like="x = 1\n" * 2_000)


@pytest.mark.parametrize(
    "answer", ["hello world " * 80_000, "```python\n" + "-" * 200_000 + "1\n```"]
)
def test_what_is_too_much_for_the_parser_is_no_code(answer: str) -> None:
    assert not code_in(answer).text
