"""Tables for people."""

from mtor_kernel.magics.table import Table

TABLE = Table(
    "Models", ("name", "slots"), (("smollm2", "1"), ("q", "12")), figures=frozenset({"slots"})
)


def test_a_table_is_aligned_text_first() -> None:
    assert TABLE.plain().splitlines() == [
        "Models",
        "  name     slots",
        "  smollm2      1",
        "  q           12",
    ]
    assert list(TABLE._repr_mimebundle_()) == ["text/plain", "text/html"]


def test_words_are_never_html() -> None:
    html = Table("<b>", ("<i>",), (("<img src=x onerror=alert(1)>$x$",),), note="<u>").html()
    assert not any(tag in html for tag in ("<b>", "<i>", "<img", "<u>", "$x"))


def test_no_rows_are_a_word() -> None:
    assert Table("Queue", ("id",), (), empty="nothing waits").plain() == "Queue\n  nothing waits"


def test_what_a_terminal_obeys_is_left_out() -> None:
    assert "\x1b" not in Table("", ("a",), (("\x1b[2J",),)).plain()


def test_what_is_said_in_a_row_never_looks_like_another_row() -> None:
    table = Table("Audit log", ("no.", "why"), (("1", "late\n  999  12:00\u2028sue\r\nann"),))
    assert table.plain().splitlines() == [
        "Audit log",
        "  no.  why",
        "  1    late   999  12:00 sue ann",
    ]
