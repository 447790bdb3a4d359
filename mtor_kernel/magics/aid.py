"""What stands after ``explain``, ``fix``, ``doc`` and ``write``, or is said in plain words."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from IPython.core.error import UsageError

from mtor_kernel.magics.options import parser, split

#: The commands that help with the notebook's own code, each with what must follow it.
AIDING = {"explain": "", "fix": "", "doc": "NAME", "write": "what the code shall do"}
_USE = {
    "doc": "%mtor doc NAME, such as %mtor doc sorted",
    "write": "%mtor write a function that adds two numbers",
}
_PLEASE = r"(?:(?:please|now|can you|could you|would you)\b[, ]*)*"
_LAST = r"(?:the|this|that|my|it'?s)?\s*(?:last |latest |previous )?"
_SAID = {
    "explain": re.compile(
        rf"{_PLEASE}(?:(?:explain|what (?:is|was|does|causes|caused)|tell me about) "
        rf"{_LAST}(?:error|exception|traceback|failure)(?: mean)?"
        r"|what (?:went|is|was) wrong"
        rf"|why did (?:it|this|that|{_LAST}(?:cell|code)) (?:fail|break|crash|go wrong|not work))"
        r"(?: here| there| please)?\s*[?.!]*",
        re.IGNORECASE,
    ),
    "fix": re.compile(
        rf"{_PLEASE}(?:fix|mend|correct|repair) "
        rf"(?:it|this|that|{_LAST}(?:error|cell|code|bug|exception))(?: please)?\s*[.!]*",
        re.IGNORECASE,
    ),
    "write": re.compile(
        rf"{_PLEASE}write (?:me )?(?:(?:a|an|the|some|short|simple|small|python) )*"
        r"(?:code|function|class|cell|script|program|loop|decorator|generator|test)\b.*",
        re.IGNORECASE | re.DOTALL,
    ),
    "doc": re.compile(
        rf"{_PLEASE}(?:document|explain|what does|how (?:do|can) i use) `?(?P<name>[^\W\d][\w.]*)`?"
        r"(?: do| work)?\s*[?.!]*",
        re.IGNORECASE,
    ),
}


class Aid(msgspec.Struct, frozen=True):
    """One wish for help with the notebook's code."""

    #: One of :data:`AIDING`.
    command: str
    #: The name to be documented, or more words.
    words: str = ""
    model: str = "chat"
    options: dict[str, Any] = {}
    #: Whether an error's words are told with their values.
    values: bool = False
    bind: str = ""
    stream: bool = True


def parse_aid(command: str, rest: str, cell: str | None) -> Aid:
    """Return what a line, or a line over a cell, asks for.

    Raises
    ------
    UsageError
        It means nothing; says what to write instead.
    """
    options, line = split(rest, flags=("--values",))
    made = parser("chat")
    made.add_argument("-t", "--temperature", type=float)
    made.add_argument("--max-tokens", type=int)
    made.add_argument("--seed", type=int)
    if command in ("explain", "fix"):
        made.add_argument("--values", action="store_true")
    given = vars(made.parse_args(options))
    words = "\n".join(filter(None, [line.strip(), (cell or "").strip()]))
    if AIDING[command] and not words:
        raise UsageError(f"Of what? Write {_USE[command]}.")
    chosen = {
        name: given[name]
        for name in ("temperature", "max_tokens", "seed")
        if given[name] is not None
    }
    return Aid(
        command,
        words,
        given["model"],
        chosen,
        given.get("values", False),
        given["bind"],
        given["stream"],
    )


def aid_said(question: str) -> tuple[str, str] | None:
    """Return which command a question in plain language means, and its words; ``None``: none."""
    line = " ".join(question.split()) if len(question) < 200 else question.strip()
    for command in ("explain", "fix", "write", "doc"):
        found = _SAID[command].fullmatch(line)
        if found:
            if command == "doc":
                return command, found["name"]
            return command, question.strip() if command == "write" else ""
    return None
