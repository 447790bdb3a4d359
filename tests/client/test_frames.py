"""Queries and spending as tables and pictures."""

import base64
import subprocess
import sys

from mtor_kernel.client.frames import Spending, history_frame
from mtor_kernel.protocol.account import Charge, Usage
from mtor_kernel.protocol.errors import BackendFailed
from mtor_kernel.protocol.lifecycle import Stage
from mtor_kernel.protocol.query import Modality
from mtor_kernel.protocol.views import QueryInfo, UsageRow

QUERIES = [
    QueryInfo(
        "a" * 32,
        "chat",
        "echo",
        Modality.CHAT,
        Stage.SETTLED,
        1_000_000.0,
        1,
        ended_at=1_000_002.5,
        charge=Charge(1_500_000, Usage(input_tokens=3, output_tokens=4)),
        prompt="What?",
    ),
    QueryInfo(
        "b" * 32,
        "chat",
        "echo",
        Modality.CHAT,
        Stage.FAILED,
        1_000_000.0,
        error=BackendFailed("No.").info(),
    ),
]
ROWS = [
    UsageRow("2026-11-21", "echo", 2, 1_000_000, 10, 20),
    UsageRow("2026-11-22", "echo", 1, 500_000),
    UsageRow("2026-11-22", "smollm2", 3, 2_000_000),
]


def test_the_history_is_a_frame() -> None:
    frame = history_frame(QUERIES)
    assert list(frame["status"]) == ["settled", "failed"]
    assert list(frame["credits"]) == [1.5, 0.0]
    assert frame["seconds"][0] == 2.5
    assert frame["error"][1] == "No."
    assert str(frame["asked_at"].dtype).startswith("datetime64")


def test_tables_have_the_same_types_whatever_is_in_them() -> None:
    for one in (history_frame([]), history_frame(QUERIES[1:])):  # of a failed one less is known
        assert dict(one.dtypes) == dict(history_frame(QUERIES).dtypes)
    assert history_frame([])["credits"].sum() == 0.0
    assert dict(Spending([]).frame.dtypes) == dict(Spending(ROWS).frame.dtypes)


def test_days_without_a_question_are_drawn_too() -> None:
    rows = [UsageRow("2026-10-30", "echo", 1, 10), UsageRow("2026-11-02", "echo", 1, 20)]
    (axes,) = Spending(rows).figure.axes
    names = [label.get_text() for label in axes.get_xticklabels()]
    assert names == ["2026-10-30", "2026-10-31", "2026-11-01", "2026-11-02"]
    year = [UsageRow("2025-11-22", "echo", 1, 10), UsageRow("2026-11-22", "echo", 1, 20)]
    assert len(Spending(year).figure.axes[0].get_xticks()) <= 30


def test_spending_is_rows_a_frame_and_a_picture() -> None:
    spending = Spending(ROWS)
    assert list(spending) == ROWS
    assert spending[0] == ROWS[0]
    assert repr(spending) == "<Spending: 3.50 credits, 6 queries on 2 days>"
    assert spending.frame.groupby("model")["credits"].sum().to_dict() == {
        "echo": 1.5,
        "smollm2": 2.0,
    }
    (axes,) = spending.figure.axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["smollm2", "echo"]
    heights = [[bar.get_height() for bar in bars] for bars in axes.containers]
    assert heights == [[0.0, 2.0], [1.0, 0.5]]
    shown = spending._repr_mimebundle_()
    assert base64.b64decode(shown["image/png"]).startswith(b"\x89PNG")


def test_many_models_are_told_apart_as_far_as_colours_go() -> None:
    rows = [UsageRow("2026-11-22", f"m{at}", 1, at) for at in range(30)]
    (axes,) = Spending(rows).figure.axes
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert len(names) == 10
    assert names[0] == "m29"
    assert names[-1] == "others"


def test_nothing_spent_is_a_picture_too() -> None:
    assert len(Spending([]).frame) == 0
    assert Spending([]).figure.axes[0].get_title() == "nothing was asked"


def test_what_is_not_installed_is_named() -> None:
    program = (
        "import sys; sys.modules['pandas'] = sys.modules['matplotlib'] = None\n"
        "sys.modules['matplotlib.figure'] = None\n"
        "from mtor_kernel.client.frames import Spending, history_frame\n"
        "from mtor_kernel.protocol.errors import BadInput\n"
        "for what in (lambda: history_frame([]), lambda: Spending([]).frame,"
        " lambda: Spending([]).figure):\n"
        "    try: what()\n"
        "    except BadInput as error: print(error.message)\n"
        "print(Spending([])._repr_mimebundle_())"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert "pip install pandas" in said[0]
    assert "realm.queries()" in said[0]
    assert "pip install pandas" in said[1]
    assert "pip install matplotlib" in said[2]
    assert "image/png" not in said[3]
