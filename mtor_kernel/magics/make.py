"""What stands after ``%mtor see``, ``imagine``, ``say``, ``listen``, ``embed`` and ``api``."""

from __future__ import annotations

import argparse
import re
import shlex
from typing import Any

import msgspec
from IPython.core.error import UsageError
from IPython.core.magic_arguments import MagicArgumentParser

from mtor_kernel.magics.options import model_name, parser, size, split

#: The commands of other modalities than words, and their usual models; an API's is its name.
MAKING = {
    "see": "vision",
    "imagine": "image",
    "say": "speech",
    "listen": "transcription",
    "embed": "embedding",
    "api": "api",
}
#: Those that begin with a file, or a variable in braces.
_OF_SOMETHING = ("see", "listen")
_USE = {
    "see": '%mtor see photo.png "What is on it?"',
    "imagine": "%mtor imagine a red heart",
    "say": "%mtor say Good morning",
    "listen": "%mtor listen talk.wav",
    "embed": "%mtor embed the sea",
    "api": "%mtor api weather city=Rome",
}
#: Options by command: name, type. Those of every command are the parser's own.
_OPTIONS: dict[str, dict[str, Any]] = {
    "see": {"temperature": float, "max-tokens": int, "seed": int},
    "imagine": {
        "size": size,
        "width": int,
        "height": int,
        "steps": int,
        "guidance": float,
        "seed": int,
        "negative": str,
        "strength": float,
        "from": str,
    },
    "say": {"voice": str, "speed": float, "language": str, "seed": int},
    "listen": {"language": str, "temperature": float},
    "embed": {},
    "api": {},
}
_FIELD = re.compile(r"\{[^{}]+\}")
_LATE = re.compile(r"\s--([a-z-]+)\b")


class Make(msgspec.Struct, frozen=True):
    """One thing to be seen, drawn, spoken, heard, embedded or called."""

    command: str
    #: The words: a question, a prompt, a text.
    prompt: str = ""
    model: str = ""
    #: A file or a variable in braces: what is seen or heard, or what is drawn from.
    subject: str = ""
    options: dict[str, Any] = {}
    #: What an API is given.
    parameters: dict[str, str] = {}
    #: The variable to bind what comes of it to; empty for none.
    bind: str = ""
    stream: bool = True


def parse_make(command: str, rest: str, cell: str | None) -> Make:
    """Return what a line, or a line over a cell, asks for.

    Raises
    ------
    UsageError
        It means nothing; says what to write instead.
    """
    words, line = split(rest)
    given = vars(_parser(command).parse_args(words))
    made = Make(
        command,
        model=given["model"],
        options=_options(given),
        bind=given["bind"],
        stream=given["stream"],
    )
    if command == "api":
        return _api(made, line if cell is None else f"{line} {cell}")
    subject = given.get("from") or ""
    if command in _OF_SOMETHING:
        subject, line = _subject(command, line)
    return msgspec.structs.replace(made, subject=subject, prompt=_prompt(command, line, cell))


def _api(made: Make, line: str) -> Make:
    try:
        name, *pairs = shlex.split(line) or [""]
    except ValueError:
        raise UsageError("A quotation mark of a value is not closed.") from None
    if not name or "=" in name:
        raise UsageError(f"Which API? Write {_USE['api']}; %mtor models shows the names.")
    wrong = next((pair for pair in pairs if not pair.partition("=")[0] or "=" not in pair), None)
    if wrong is not None:
        raise UsageError(f"{wrong!r} is no parameter: write each as KEY=VALUE, as in {_USE['api']}")
    try:
        model = model_name(name)
    except argparse.ArgumentTypeError as error:
        raise UsageError(str(error)) from None
    parameters = {key: value for key, _, value in (pair.partition("=") for pair in pairs)}
    return msgspec.structs.replace(made, model=model, parameters=parameters)


def _subject(command: str, line: str) -> tuple[str, str]:
    """Return the file or field that a line begins with, and the rest."""
    field = _FIELD.match(line)
    if field:
        return field[0], line[field.end() :].strip()
    quoted = re.match(r"""(["'])(.+?)\1(?=\s|$)""", line)
    if quoted:
        return quoted[2], line[quoted.end() :].strip()
    first, _, rest = line.partition(" ")
    if not first:
        raise UsageError(f"Of what? Write {_USE[command]}, or {{name}} of a variable.")
    return first, rest.strip()


def _prompt(command: str, line: str, cell: str | None) -> str:
    late = _LATE.search(f" {line}")
    if late and late[1] in {*_OPTIONS[command], "model", "as", "no-stream"}:
        raise UsageError(f"Options come first: move --{late[1]} to before {line.split()[0]!r}.")
    if cell is not None and line:
        raise UsageError(f"The words stand below %%mtor {command}, not beside it: move {line!r}.")
    prompt = (line if cell is None else cell).strip()
    if command == "listen" and prompt:
        raise UsageError(f"%mtor listen takes one recording and no more: leave out {prompt!r}.")
    if len(prompt) > 1 and prompt[0] == prompt[-1] and prompt[0] in "\"'":
        prompt = prompt[1:-1]
    if not prompt.strip() and command not in _OF_SOMETHING:
        raise UsageError(f"There are no words: write {_USE[command]}.")
    return prompt


def _options(given: dict[str, Any]) -> dict[str, Any]:
    names = {"negative": "negative_prompt"}
    ours = {"model", "bind", "stream", "size", "from"}
    options = {
        names.get(name, name): value
        for name, value in given.items()
        if name not in ours and value is not None
    }
    if given.get("size"):
        options["width"], options["height"] = given["size"]
    return options


def _parser(command: str) -> MagicArgumentParser:
    made = parser(MAKING[command])
    for name, kind in _OPTIONS[command].items():
        short = ("-t",) if name == "temperature" else ()
        made.add_argument(*short, f"--{name}", type=kind, default=None)
    return made
