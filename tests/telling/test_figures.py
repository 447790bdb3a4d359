"""Figures as a person reads them."""

import pytest

from mtor_kernel.protocol.errors import Refused
from mtor_kernel.telling.figures import show_retry


@pytest.mark.parametrize(
    ("message", "seconds", "said"),
    [
        ("Paused. Try again in a while.", 30.0, "try again in 30 s"),
        ("Too many.", 0.3, "try again in 0.3 s"),
        ("Too many.", None, ""),
        ("Too many: try again in 60 s, by 22:58 UTC.", 60.0, ""),
        ("Too many: ask for less, or try again after 00:00 UTC.", 7000.0, ""),
    ],
)
def test_when_to_try_again_is_said_once(message: str, seconds: float | None, said: str) -> None:
    assert show_retry(Refused(message, retry_after_seconds=seconds)) == said
