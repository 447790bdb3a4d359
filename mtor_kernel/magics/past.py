"""What stands after ``%mtor history``."""

from __future__ import annotations

from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic_arguments import MagicArgumentParser

from mtor_kernel.magics.options import model_name, split
from mtor_kernel.protocol.lifecycle import Stage

#: Queries that a list shows where no number is given, and at most.
LISTED, MOST_LISTED = 20, 1000


def parse_past(rest: str) -> dict[str, Any]:
    """Return which queries are meant, as what :meth:`Realm.queries` takes.

    Raises
    ------
    UsageError
        It means nothing; says what to write instead.
    """
    words, search = split(rest)
    made = MagicArgumentParser("%mtor history")
    made.allow_abbrev = False
    made.add_argument("-m", "--model", default=None, type=model_name)
    made.add_argument("--status", default="")
    made.add_argument("--since", default=None)
    made.add_argument("--until", default=None)
    made.add_argument("-n", "--limit", default=LISTED, type=int)
    given = vars(made.parse_args(words))
    if given["status"] and given["status"] not in set(Stage):
        raise UsageError(f"--status is one of {', '.join(Stage)}, not {given['status']!r}.")
    if not 1 <= given["limit"] <= MOST_LISTED:
        raise UsageError(f"--limit lies between 1 and {MOST_LISTED}.")
    return {"search": search, **given, "model": given["model"] or ""}
