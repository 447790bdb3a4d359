"""Moved to :mod:`mtor_kernel.telling.figures`; here while other parts still look for it here."""

from mtor_kernel.telling.figures import (
    SHORTEST_SECONDS,
    show_cost,
    show_count,
    show_seconds,
    show_time,
)

__all__ = ["SHORTEST_SECONDS", "show_cost", "show_count", "show_seconds", "show_time"]
