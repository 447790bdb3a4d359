"""What stands after ``%mtor`` and ``%%mtor``, as values.

The options come first; what follows them is the prompt, word for word: an apostrophe, a quote or a
backslash in a question is never read as shell syntax.
"""

from __future__ import annotations

import argparse
import io
import keyword
import shlex
from typing import Any

import msgspec
from IPython.core.error import UsageError
from IPython.core.magic_arguments import MagicArgumentParser

from mtor_kernel.protocol.query import ModelName

#: The commands that ask, each with or without a cell below it.
ASKING = ("ask", "chat", "computer")
#: The commands that look or act, each with the name of what may follow it.
LOOKING = {
    "models": "",
    "workers": "",
    "queue": "",
    "me": "",
    "history": "WORDS",
    "cancel": "ID",
    "forget": "NAME",
    "help": "",
}

HELP = """\
%%mtor [OPTIONS]                 ask what stands in the cell below
%mtor ask [OPTIONS] QUESTION     ask what stands on the line
%%mtor chat [-c NAME] [OPTIONS]  ask in a conversation that remembers its turns
%mtor models                     what may be asked, and its price
%mtor workers                    who answers
%mtor queue                      what waits and runs
%mtor me                         who you are here, what you have and what you used
%mtor history [WORDS]            your queries and what each cost; WORDS searches them
%mtor cancel ID                  stop a query; the first letters of its id will do
%mtor forget [NAME]              drop a conversation
%mtor help                       this page

-m, --model MODEL        the model, by default chat
-t, --temperature T      0: always the likeliest words; 1: lively
--max-tokens N           the longest answer
--seed N                 the same seed and question give the same answer
--system TEXT            what the model is told before the question
--as NAME                bind the answer to a variable; str(NAME) is its text
-c, --conversation NAME  which conversation (chat only), by default main
--no-stream              show the answer once, when it is whole

{name}, {name.attribute} and {name[0]} in a prompt are filled from the notebook's variables;
{{name}} stays as {name}. Interrupt the kernel to stop a question."""


class Ask(msgspec.Struct, frozen=True):
    """One question, as a cell or a line puts it."""

    #: ``ask``, ``chat`` or ``computer``.
    command: str
    prompt: str
    model: str = "chat"
    #: Those of the protocol's options that were set.
    options: dict[str, Any] = {}
    system: str = ""
    #: The variable to bind the answer to; empty for none.
    bind: str = ""
    conversation: str = "main"
    stream: bool = True


class Look(msgspec.Struct, frozen=True):
    """A command that looks or acts, and what follows it."""

    command: str
    rest: str = ""


def parse(line: str, cell: str | None = None) -> Ask | Look:
    """Return what ``%mtor line``, or ``%%mtor line`` over `cell`, means.

    Raises
    ------
    UsageError
        It means nothing; says what to write instead.
    """
    command, rest = _command(line, cell)
    if command in LOOKING:
        return _look(command, rest, cell)
    words, prompt = split(rest)
    if cell is not None:
        if prompt:
            raise UsageError(
                f"The prompt stands below %%mtor, not beside it: move {prompt!r} to the next line. "
                f"To choose a model, write %%mtor -m {prompt.split()[0]}."
            )
        prompt = cell
    return _ask(command, words, prompt)


def split(line: str) -> tuple[list[str], str]:
    """Return the options that `line` begins with, as words, and the rest of it untouched."""
    source = io.StringIO(line)
    lexer = shlex.shlex(source, posix=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    words: list[str] = []
    try:
        while (rest := line[source.tell() :].strip()).startswith("-"):
            word = lexer.get_token() or ""
            if word == "--":
                return words, line[source.tell() :].strip()
            words.append(word)
            if _takes_a_value(word) and (value := lexer.get_token()) is not None:
                words.append(value)
    except ValueError:
        raise UsageError("A quotation mark of an option is not closed.") from None
    return words, rest


def _command(line: str, cell: str | None) -> tuple[str, str]:
    first, _, rest = line.strip().partition(" ")
    if first in ASKING or first in LOOKING:
        return first, rest.strip()
    if cell is not None:
        return "ask", line.strip()
    if not first:
        return "help", ""
    raise UsageError(
        f"%mtor has no command {first!r}. To ask, write %mtor ask {line.strip()}. "
        f"The others are: {', '.join(LOOKING)}."
    )


def _look(command: str, rest: str, cell: str | None) -> Look:
    if cell is not None:
        raise UsageError(f"Nothing stands below {command}: write %mtor {command}, on one line.")
    if rest and not LOOKING[command]:
        raise UsageError(f"%mtor {command} takes nothing more: leave out {rest!r}.")
    if command == "cancel" and not rest:
        raise UsageError("Which query? Write %mtor cancel ID; %mtor queue shows the ids.")
    return Look(command, rest)


def _ask(command: str, words: list[str], prompt: str) -> Ask:
    if not prompt.strip():
        raise UsageError("The prompt is empty: write what you want to ask.")
    given = _parser().parse_args(words)
    if given.conversation and command != "chat":
        raise UsageError("A conversation is kept by chat only: write %%mtor chat -c NAME.")
    options = {
        name: value
        for name in ("temperature", "max_tokens", "seed")
        if (value := getattr(given, name)) is not None
    }
    return Ask(
        command=command,
        prompt=prompt.strip("\n"),
        model=given.model,
        options=options,
        system=given.system,
        bind=given.bind,
        conversation=given.conversation or "main",
        stream=given.stream,
    )


def _takes_a_value(word: str) -> bool:
    if word.startswith("--"):
        return "=" not in word and word != "--no-stream"
    return len(word) == 2


def _parser() -> MagicArgumentParser:
    parser = MagicArgumentParser("%mtor")
    parser.allow_abbrev = False
    add = parser.add_argument
    add("-m", "--model", default="chat", type=_model_name)
    add("-t", "--temperature", type=float)
    add("--max-tokens", type=int)
    add("--seed", type=int)
    add("--system", default="")
    add("--as", dest="bind", default="", type=_variable_name)
    add("-c", "--conversation", default="")
    add("--no-stream", dest="stream", action="store_false")
    return parser


def _model_name(word: str) -> str:
    try:
        return msgspec.convert(word, ModelName)
    except msgspec.ValidationError:
        raise argparse.ArgumentTypeError(
            f"no model is called {word!r}; %mtor models shows the names"
        ) from None


def _is_ipythons(word: str) -> bool:
    """Tell whether the kernel needs this name for itself."""
    return word.startswith("__") or word in {"In", "Out", "get_ipython", "exit", "quit"}


def _variable_name(word: str) -> str:
    if word and (not word.isidentifier() or keyword.iskeyword(word) or _is_ipythons(word)):
        raise argparse.ArgumentTypeError(f"{word!r} can't be the name of a variable")
    return word
