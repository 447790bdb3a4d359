"""What stands after ``%mtor`` and ``%%mtor``, as values.

The options come first; what follows them is the prompt, word for word: an apostrophe, a quote or a
backslash in a question is never read as shell syntax.
"""

from __future__ import annotations

from typing import Any

import msgspec
from IPython.core.error import UsageError
from IPython.core.magic_arguments import MagicArgumentParser

from mtor_kernel.magics import options
from mtor_kernel.magics.aid import AIDING, Aid, parse_aid
from mtor_kernel.magics.make import MAKING, Make, parse_make

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
    "conversations": "show, rename, resume, export or forget",
    "sysop": "ORDER",
    "replay": "on, off, only or status",
    "help": "",
}
#: Who writes this behind a command, or before it, wants the page.
_HELP = ("--help", "-h", "-?")

HELP = """\
%%mtor [OPTIONS]                 ask what stands in the cell below
%mtor ask [OPTIONS] QUESTION     ask what stands on the line
%%mtor chat [-c NAME] [OPTIONS]  ask in a conversation that remembers its turns
%mtor see PICTURE [QUESTION]     ask about a picture: a file, or {name}
%mtor imagine PROMPT             have a picture drawn
%mtor say TEXT                   have a text spoken
%mtor listen SOUND               have a recording written down: a file, or {name}
%mtor embed TEXT                 make a vector of a text, or of each in {texts}
%mtor api NAME KEY=VALUE ...     call a registered API
%mtor explain [WORDS]            what the last error means
%mtor fix [WORDS]                propose the failed cell anew, in the next cell; never runs it
%mtor doc NAME                   what a function, a class or a variable is and does
%mtor write WORDS                have code written into the next cell
%mtor models                     what may be asked, and its price
%mtor workers                    who answers
%mtor queue                      what waits and runs
%mtor me                         who you are here, what you have and what you used
%mtor history [WORDS]            your queries and what each cost; WORDS searches them
%mtor cancel ID                  stop a query; the first letters of its id will do
%mtor forget [NAME]              drop a conversation from this kernel
%mtor conversations              those that the realm keeps; also show NAME, rename NAME NEW,
                                 resume NAME, export NAME FILE, forget NAME
%mtor sysop ORDER                run the place, if you may: people, ban, quota, audit ...
%mtor replay on|off|only|anew    record answers beside the notebook, and give them again; also
                                 status, check, mend
%mtor help                       this page

-m, --model MODEL        the model, by default chat, or the one for what is asked
-t, --temperature T      0: always the likeliest words; 1: lively
--max-tokens N           the longest answer
--seed N                 the same seed and question give the same answer
--system TEXT            what the model is told before the question
--as NAME                bind the answer to a variable; str(NAME) is its text
-c, --conversation NAME  which conversation (chat only), by default main
--no-stream              show the answer once, when it is whole

history  -m MODEL  --status failed  --since 2026-11-22  --until today  -n 50
explain, fix   --values  (tell an error with its values)
imagine  --size 64x64  --steps N  --guidance G  --negative TEXT  --from PICTURE  --strength S
say      --voice NAME  --speed 1.2  --language en          listen  --language en

Options come before the prompt. {name}, {name.attribute} and {name[0]} in a prompt are filled from
the notebook's variables; {figure} goes as a picture; {{name}} stays as {name}. Interrupt the kernel
to stop a question."""


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


def parse(line: str, cell: str | None = None) -> Ask | Look | Make | Aid:
    """Return what ``%mtor line``, or ``%%mtor line`` over `cell`, means.

    Raises
    ------
    UsageError
        It means nothing; says what to write instead.
    """
    if cell is not None:
        cell = cell.replace("\r\n", "\n")  # a notebook may have been written on Windows
    command, rest = _command(line, cell)
    if command in LOOKING:
        return _look(command, rest, cell)
    if command in MAKING:
        return parse_make(command, rest, cell)
    if command in AIDING:
        return parse_aid(command, rest, cell)
    words, prompt = options.split(rest)
    if cell is not None:
        if prompt:
            raise UsageError(
                f"The prompt stands below %%mtor, not beside it: move {prompt!r} to the next line. "
                f"To choose a model, write %%mtor -m {prompt.split()[0]}."
            )
        prompt = cell
    return _ask(command, words, prompt)


def _command(line: str, cell: str | None) -> tuple[str, str]:
    first, _, rest = line.strip().partition(" ")
    if cell is None and (first in _HELP or first == "help" or rest.strip() in _HELP):
        return "help", ""
    if first in (*ASKING, *LOOKING, *MAKING, *AIDING):
        return first, rest.strip()
    if cell is not None:
        return "ask", line.strip()
    if not first:
        return "help", ""
    raise UsageError(
        f"%mtor has no command {first!r}. To ask, write %mtor ask {line.strip()}. "
        f"The others are: {', '.join([*MAKING, *AIDING, *LOOKING])}."
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
    chosen = {
        name: value
        for name in ("temperature", "max_tokens", "seed")
        if (value := getattr(given, name)) is not None
    }
    return Ask(
        command=command,
        prompt=prompt.strip("\n"),
        model=given.model,
        options=chosen,
        system=given.system,
        bind=given.bind,
        conversation=given.conversation or "main",
        stream=given.stream,
    )


def _parser() -> MagicArgumentParser:
    parser = options.parser("chat")
    parser.add_argument("-t", "--temperature", type=float)
    parser.add_argument("--max-tokens", type=int)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--system", default="")
    parser.add_argument("-c", "--conversation", default="")
    return parser
