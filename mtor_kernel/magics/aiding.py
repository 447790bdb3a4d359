"""Explain an error, mend a cell, document a name, write code: one question each.

Nothing that a model writes is run: code goes into the next cell, for a person to read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from mtor_kernel.client import Realm, Reply
from mtor_kernel.magics import subject
from mtor_kernel.magics.aid import Aid
from mtor_kernel.magics.asking import ask
from mtor_kernel.magics.bundle import ANSWER_MIME, answer_of, bundle, reply_bundle
from mtor_kernel.magics.code import Code, code_in, difference, fenced
from mtor_kernel.magics.context import context_line
from mtor_kernel.magics.display import Display
from mtor_kernel.magics.fault import LONGEST_CELL, Faults
from mtor_kernel.magics.filling import fill
from mtor_kernel.magics.secrecy import Secrets
from mtor_kernel.protocol.query import Query
from mtor_kernel.telling.story import cost_line

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_SYSTEM = {
    "explain": "You explain errors of Python to whoever wrote the code. Say in a few plain "
    "sentences what went wrong, why, and what to change.",
    "fix": "You mend Python code. Answer with the whole corrected cell in one fenced block of "
    "Python, and nothing else. Change as little as you can. Keep words such as MTOR_SECRET_1.",
    "doc": "You document Python. Say in a few plain sentences what it does and takes and returns, "
    "with one short example.",
    "write": "You write Python for a cell of a notebook. Answer with the code in one fenced block "
    "of Python, and nothing else.",
}


class Aider:
    """Does what one command asks for, and returns the reply."""

    def __init__(
        self, realm: Realm, shell: InteractiveShell, faults: Faults, display: Callable[[], Display]
    ) -> None:
        self._realm = realm
        self._shell = shell
        self._faults = faults
        self._display = display
        self._secrets = Secrets()

    def aid(self, wanted: Aid) -> Reply:
        """Ask, show what came, and put code into the next cell.

        Raises
        ------
        RealmError, UsageError
            Nothing comes of it; says why and what to do.
        """
        commands: dict[str, Callable[[Aid], Reply]] = {
            "explain": self._explain,
            "fix": self._fix,
            "doc": self._doc,
            "write": self._write,
        }
        return commands[wanted.command](wanted)

    def _explain(self, wanted: Aid) -> Reply:
        return self._asked(wanted, self._failure(wanted), reply_bundle)

    def _fix(self, wanted: Aid) -> Reply:
        code = self._faults.fault().code
        if len(code) > LONGEST_CELL:
            raise UsageError(
                f"The cell has {len(code):,} characters, too many to be written anew in one "
                "answer: split it, or have %mtor explain say what is wrong."
            )
        prompt = self._failure(wanted)

        def show(reply: Reply) -> dict[str, Any]:
            found = self._code(reply, like=code)
            if not found.text:
                return _without_code(reply, found.trouble)
            if found.text.strip() == code.strip():
                return _without_code(reply, "it is the cell as it was")
            self._next_cell(found.text)
            shown = fenced(difference(code, found.text), "diff")
            note = f"proposed in the next cell, not run · {cost_line(reply)}"
            return {**bundle(shown, note), ANSWER_MIME: answer_of(reply)}

        return self._asked(wanted, prompt, show)

    def _doc(self, wanted: Aid) -> Reply:
        name = wanted.words.split()[0].strip("`").removesuffix("()")
        value = subject.found(name, self._shell.user_ns)
        prompt = subject.told(name, value, self._secrets)
        more = " ".join(wanted.words.split()[1:])
        return self._asked(wanted, _joined(prompt, self._filled(more)), reply_bundle)

    def _write(self, wanted: Aid) -> Reply:
        prompt = _joined(self._filled(wanted.words), self._variables_in(wanted.words))

        def show(reply: Reply) -> dict[str, Any]:
            found = self._code(reply)
            if not found.text:
                return _without_code(reply, found.trouble)
            self._next_cell(found.text)
            note = f"in the next cell, not run · {cost_line(reply)}"
            return {**bundle(reply.text, note), ANSWER_MIME: answer_of(reply)}

        return self._asked(wanted, prompt, show)

    def _failure(self, wanted: Aid) -> str:
        """Return what is told of the last cell that failed."""
        fault = self._faults.fault()
        code = fault.excerpt(self._secrets, self._shell)
        error = fault.told(self._secrets, self._shell, values=wanted.values)
        return _joined(
            f"This cell of a notebook fails:\n{fenced(code, 'python')}\n"
            f"The error:\n{fenced(error, 'text')}",
            self._variables_in(code),
            self._filled(wanted.words),
        )

    def _asked(self, wanted: Aid, prompt: str, show: Callable[[Reply], dict[str, Any]]) -> Reply:
        system = _SYSTEM[wanted.command]
        query = Query.ask(prompt, wanted.model, system=system, **wanted.options)
        return ask(self._realm, query, self._display(), show)

    def _code(self, reply: Reply, like: str = "") -> Code:
        found = code_in(reply.text, like, self._shell.transform_cell)
        return Code(self._secrets.put_back(found.text), found.trouble)

    def _next_cell(self, code: str) -> None:
        self._shell.set_next_input(code, replace=False)

    def _filled(self, words: str) -> str:
        return fill(words, self._shell.user_ns)

    def _variables_in(self, words: str) -> str:
        line = context_line(words, self._shell.user_ns, self._shell.user_ns_hidden)
        return f"({line})" if line else ""


def _without_code(reply: Reply, trouble: str) -> dict[str, Any]:
    """Return the answer as it is, and that it cannot be used."""
    note = f"no usable code: {trouble}; the next cell stays empty · {cost_line(reply)}"
    return {**bundle(reply.text, note), ANSWER_MIME: answer_of(reply)}


def _joined(*pieces: str) -> str:
    return "\n\n".join(filter(None, pieces))
