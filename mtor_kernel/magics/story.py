"""Moved to :mod:`mtor_kernel.telling.story`; here while other parts still look for it here."""

from mtor_kernel.telling.story import Story, cost_line, last_line, units_of, waiting_line

__all__ = ["Story", "cost_line", "last_line", "units_of", "waiting_line"]
