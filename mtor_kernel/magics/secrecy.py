"""What a model is not told of code and errors: keys, passwords, and values that are nobody's code.

No rule finds every secret. These take out what looks like one, and of an error's words what came
from the data and not from the code; ``--values`` has an error told as it is.
"""

from __future__ import annotations

import re

#: A word that stands for something that is not told; its number follows.
PLACEHOLDER = "MTOR_SECRET_"

# What may repeat is bounded, or begins where nothing of its kind stands before: a cell of
# a megabyte is searched in no time, whatever is in it.
_NAMES = (
    r"\w{0,100}(?:api_?key|secret|token|passw(?:or)?d|passwd|pwd|credential|auth|access_key)"
    r"\w{0,100}"
)
#: A literal that is given to a name such as ``api_key``: as a variable, an argument or a key.
_ASSIGNED = re.compile(
    rf"""(?P<before>\b{_NAMES}["']?\]?\s*(?::\s*\w+\s*)?[:=]\s*[rbf]{{0,2}})"""
    r"""(?P<quote>\"{3}|'{3}|["'])(?P<secret>.+?)(?P=quote)""",
    re.IGNORECASE | re.DOTALL,
)
#: What is a key or a password by its own look.
_KEYS = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.{0,16000}?-----END [A-Z ]*PRIVATE KEY-----"
    r"|\b(?:sk|pk|rk|hf|ghp|gho|ghs|glpat|xox[abprs]|key|token)[-_][\w-]{8,}"
    r"|\bgithub_pat_\w{20,}|\bAKIA[0-9A-Z]{12,}|\bAIza[\w-]{20,}"
    r"|(?<![\w-])eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?"
    r"|(?i:(?<=bearer )|(?<=basic ))[\w.~+/=-]{8,}"
    r"|(?<=://)[^\s/:@\"']+:[^\s/@\"']+(?=@)"
    r"|\b(?=[\w+/]{0,64}\d)(?=[\w+/]{0,64}[a-z])(?=[\w+/]{0,64}[A-Z])[A-Za-z0-9+/]{32,}={0,2}"
    r"|\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{32,}\b",
    re.DOTALL,
)
_QUOTED = re.compile(r"""(?P<quote>["'`])(?P<inside>(?:\\.|(?!(?P=quote)).)*)(?P=quote)""")
#: Long numbers, addresses and places in a file system.
_VALUES = re.compile(
    r"[\w.+-]+@[\w-]+\.[\w.]+|\b\d[\d .-]{6,}\d\b|\b\d{7,}\b|\b\d+\.\d{3,}\b"
    r"|(?<![\w/])(?:~|[A-Za-z]:)?(?:[/\\][\w.@~%-]+){2,}"
)
_NAME = re.compile(r"[^\W\d][\w.]{0,60}(?:\(\))?")
_LONGEST_MESSAGE = 600


class Secrets:
    """Takes secrets out of code, and puts them back into what a model made of it."""

    def __init__(self) -> None:
        self._taken: list[str] = []

    def take_out(self, code: str) -> str:
        """Return `code` with a placeholder for each key and password.

        >>> Secrets().take_out("api_key = 'open sesame'")
        "api_key = 'MTOR_SECRET_1'"
        """
        code = _ASSIGNED.sub(self._assigned, code)
        return _KEYS.sub(lambda found: self._placeholder(found[0]), code)

    def put_back(self, code: str) -> str:
        """Return `code` with the secrets in place of their placeholders."""
        return re.sub(rf"{PLACEHOLDER}(\d+)", self._secret, code)

    def _assigned(self, found: re.Match[str]) -> str:
        quote = found["quote"]
        return f"{found['before']}{quote}{self._placeholder(found['secret'])}{quote}"

    def _placeholder(self, secret: str) -> str:
        if secret.startswith(PLACEHOLDER):
            return secret
        if secret not in self._taken:
            self._taken.append(secret)
        return f"{PLACEHOLDER}{self._taken.index(secret) + 1}"

    def _secret(self, found: re.Match[str]) -> str:
        number = int(found[1])
        return self._taken[number - 1] if 0 < number <= len(self._taken) else found[0]


def without_values(message: str, code: str, *, names: bool) -> str:
    """Return an error's words without values that do not stand in `code`.

    Quoted words are kept where they are in the code, or where the error is about `names`.

    >>> without_values("could not convert 'Ada' to 'x'", "int('x')", names=False)
    "could not convert '…' to 'x'"
    """

    def quoted(found: re.Match[str]) -> str:
        inside = found["inside"]
        # IPython quotes what is quoted already.
        known = (
            len(inside) < 2 or inside.strip("'\"") in code or (names and _NAME.fullmatch(inside))
        )
        return found[0] if known else f"{found['quote']}…{found['quote']}"

    def value(found: re.Match[str]) -> str:
        return found[0] if found[0] in code else "…"

    short = message if len(message) <= _LONGEST_MESSAGE else message[:_LONGEST_MESSAGE] + "…"
    return _VALUES.sub(value, _QUOTED.sub(quoted, _KEYS.sub("…", short)))
