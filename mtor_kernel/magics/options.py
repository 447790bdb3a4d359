"""The options of ``%mtor``, which come before what is asked."""

from __future__ import annotations

import argparse
import io
import keyword
import re
import shlex
from collections.abc import Collection

import msgspec
from IPython.core.error import UsageError
from IPython.core.magic_arguments import MagicArgumentParser

from mtor_kernel.protocol.query import ModelName

_SIZE = re.compile(r"(\d{1,4})[x×](\d{1,4})")


def split(line: str, flags: Collection[str] = ()) -> tuple[list[str], str]:
    """Return the options that `line` begins with, as words, and the rest of it untouched.

    `flags` are options of the command that take no value.
    """
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
            if (
                word not in flags
                and _takes_a_value(word)
                and (value := lexer.get_token()) is not None
            ):
                words.append(value)
    except ValueError:
        raise UsageError("A quotation mark of an option is not closed.") from None
    return words, rest


def parser(model: str) -> MagicArgumentParser:
    """Return a parser with the options of every command that asks; `model` is the usual one."""
    made = MagicArgumentParser("%mtor")
    made.allow_abbrev = False
    made.add_argument("-m", "--model", default=model, type=model_name)
    made.add_argument("--as", dest="bind", default="", type=_variable_name)
    made.add_argument("--no-stream", dest="stream", action="store_false")
    return made


def model_name(word: str) -> str:
    """Return `word` if a model could be called so."""
    try:
        return msgspec.convert(word, ModelName)
    except msgspec.ValidationError:
        raise argparse.ArgumentTypeError(
            f"no model is called {word!r}; %mtor models shows the names"
        ) from None


def size(word: str) -> tuple[int, int]:
    """Return width and height of a picture.

    >>> size("64x48")
    (64, 48)
    """
    found = _SIZE.fullmatch(word)
    if found is None:
        raise argparse.ArgumentTypeError(f"{word!r} is no size: write WIDTHxHEIGHT, such as 64x64")
    return int(found[1]), int(found[2])


def _takes_a_value(word: str) -> bool:
    if word.startswith("--"):
        return "=" not in word and word != "--no-stream"
    return len(word) == 2


def _is_ipythons(word: str) -> bool:
    """Tell whether the kernel needs this name for itself."""
    return word.startswith("__") or word in {"In", "Out", "get_ipython", "exit", "quit"}


def _variable_name(word: str) -> str:
    if word and (not word.isidentifier() or keyword.iskeyword(word) or _is_ipythons(word)):
        raise argparse.ArgumentTypeError(f"{word!r} can't be the name of a variable")
    return word
