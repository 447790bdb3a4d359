"""Keep a question that ends in ``?`` a question.

To IPython a line that ends so asks for help: of ``%mtor ask What do bees make?`` it would look up
``make`` and never call the magic.
"""

from __future__ import annotations

import re

_ASKING = "ask|chat|see|imagine|say|listen|embed|api|explain|fix|doc|write"
_QUESTION = re.compile(rf"(?P<indent>[ \t]*)%mtor[ \t]+(?P<rest>(?:{_ASKING})[ \t].*[^\\\s])\s*")


def keep_questions(lines: list[str]) -> list[str]:
    """Turn each line that asks, such as ``%mtor ask``, into the call that it means.

    Made for IPython's ``input_transformers_cleanup``: a cell's lines in, a cell's lines out. The
    cell of another magic is that magic's own.
    """
    if lines and lines[0].startswith("%%"):
        return lines
    return [_kept(line) for line in lines]


def _kept(line: str) -> str:
    found = _QUESTION.fullmatch(line)
    if found is None:
        return line
    return f"{found['indent']}get_ipython().run_line_magic('mtor', {found['rest']!r})\n"
