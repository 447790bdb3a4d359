"""Lines that end in a question mark."""

import pytest
from IPython.core.inputtransformer2 import TransformerManager

from mtor_kernel.magics.questions import keep_questions


def made_of(cell: str) -> str:
    manager = TransformerManager()
    manager.cleanup_transforms.append(keep_questions)
    return manager.transform_cell(cell)


@pytest.mark.parametrize(
    "question",
    [
        "What do bees make?",
        "What's it?",
        'Is it "this" or (that?',
        "-m echo Really??",
        "{x[0]}?",
        "How? Say it.",
        "'''?",
    ],
)
def test_a_question_stays_whole(question: str) -> None:
    made = f"get_ipython().run_line_magic('mtor', {'ask ' + question!r})\n"
    assert made_of(f"%mtor ask {question}") == made
    assert made_of(f"%mtor ask {question}\nx = 1\n") == f"{made}x = 1\n"


def test_a_question_may_stand_in_a_loop() -> None:
    assert made_of("for x in y:\n    %mtor ask Is it {x}?\n    z()\n") == (
        "for x in y:\n    get_ipython().run_line_magic('mtor', 'ask Is it {x}?')\n    z()\n"
    )


@pytest.mark.parametrize(
    "cell",
    [
        "%mtor models",
        "%%time\n%mtor ask Why?",
        "x = '%mtor ask'",
        "print?",
        "%mtor?",
        "%mtor ask a\\\nb",
    ],
)
def test_everything_else_is_left_to_ipython(cell: str) -> None:
    assert made_of(cell) == TransformerManager().transform_cell(cell)
