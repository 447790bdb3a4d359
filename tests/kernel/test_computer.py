"""Cells in plain language."""

import pytest
from IPython.core.inputtransformer2 import TransformerManager

from mtor_kernel.kernel.computer import address_computer


@pytest.mark.parametrize(
    "cell",
    [
        "Computer, what is in df?",
        "computer, what is in df?",
        "COMPUTER: what is in df?",
        "\n\n  Computer , what is in df?",
        "Computer,what is in df?",
        "Computer,\nwhat is in df?",
    ],
)
def test_a_cell_that_calls_the_computer_is_a_question(cell: str) -> None:
    lines = address_computer(cell.splitlines(keepends=True))
    assert "".join(lines) == "%%mtor computer\nwhat is in df?"


def test_a_question_may_have_many_lines() -> None:
    lines = address_computer(["Computer, compare\n", "  {a}\n", "  {b}\n"])
    assert "".join(lines) == "%%mtor computer\ncompare\n  {a}\n  {b}\n"


@pytest.mark.parametrize(
    "cell",
    [
        "",
        "x = 1",
        "Computer = 3",
        "Computer",
        "Computer, other = 1, 2",
        "Computer: int = 3",
        "computer(1, 2)",
        "computers, please",
        "# Computer, what is this?",
        "print('Computer, hello')",
        "x = 1\nComputer, hello",
        "%%mtor\nComputer, hello",
    ],
)
def test_python_stays_python(cell: str) -> None:
    lines = cell.splitlines(keepends=True)
    assert address_computer(lines) == lines


def test_what_looks_like_ipython_in_a_question_is_not_read_as_such() -> None:
    manager = TransformerManager()
    manager.cleanup_transforms.append(address_computer)
    made = manager.transform_cell("Computer, what is df?\n!ls\n%time x\n")
    assert made == (
        "get_ipython().run_cell_magic('mtor', 'computer', 'what is df?\\n!ls\\n%time x\\n')\n"
    )


def test_a_question_is_complete_as_it_stands() -> None:
    manager = TransformerManager()
    manager.cleanup_transforms.append(address_computer)
    assert manager.check_complete("Computer, (what is df?\n\n")[0] == "complete"


@pytest.mark.parametrize("cell", ["Computer,", "Computer, ", "Computer:\n\n", "Computer,\r\n"])
def test_a_call_without_a_question_leaves_it_to_the_magic_to_say_so(cell: str) -> None:
    manager = TransformerManager()
    manager.cleanup_transforms.append(address_computer)
    assert manager.transform_cell(cell) == (
        "get_ipython().run_cell_magic('mtor', 'computer', '\\n')\n"
    )


@pytest.mark.parametrize("sum_", ["+".join("1" * 100_000), "-" * 200_000 + "1", "(" * 10_000])
def test_a_question_that_is_too_much_for_pythons_parser_is_a_question(sum_: str) -> None:
    assert address_computer([f"Computer: {sum_}\n"])[0] == "%%mtor computer\n"
