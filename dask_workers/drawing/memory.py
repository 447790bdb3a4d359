"""Telling what did not fit into memory from what went wrong otherwise."""

from __future__ import annotations


def is_out_of_memory(error: Exception) -> bool:
    """Tell whether an error means that something did not fit.

    torch's own error for it is a :class:`RuntimeError` too, and so is that of its CPU allocator.
    """
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError)
        and any(said in str(error) for said in ("out of memory", "can't allocate memory"))
    )
