"""A question before a map that may cost much."""

from __future__ import annotations

import sys
import types

from mtor_kernel.client.mapping.survey import Estimate
from mtor_kernel.protocol.account import MICRO
from mtor_kernel.protocol.errors import BadInput


def consent(estimate: Estimate, ask_above: float | None) -> None:
    """Return if the map may go on; ask the person where it may cost more than `ask_above` credits.

    Raises
    ------
    BadInput
        The person says no, or there is nobody to ask.
    """
    if ask_above is None or estimate.most_micro <= ask_above * MICRO:
        return
    enough = -(-estimate.most_micro * 100 // MICRO) / 100
    how = f"Pass ask_above={enough:g} to go on without a question, or ask_above=None for any map."
    if not _can_ask():
        raise BadInput(f"{estimate}. Nobody can be asked here, so nothing was. {how}")
    try:
        answer = input(f"{estimate}. Go on? [y/N] ")
    # Each front end has an error of its own for "no input here".
    except Exception as error:
        raise BadInput(f"{estimate}. Nobody can be asked here, so nothing was. {how}") from error
    if answer.strip().lower() not in ("y", "yes"):
        raise BadInput(f"You said no: nothing was asked or charged. {how}")


def _can_ask() -> bool:
    """Tell whether somebody may answer: at a terminal, or where a kernel has its own ``input``."""
    own = not isinstance(input, types.BuiltinFunctionType)
    return own or (sys.stdin is not None and sys.stdin.isatty())
