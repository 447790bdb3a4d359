"""``%mtor see camera`` and ``%mtor listen microphone``: the cell waits for whoever looks at it.

A magic is a plain call, and while it runs a kernel hears no browser. A cell that awaits does not
stand in its way: so the call becomes one that is awaited, where a cell can await.
"""

from __future__ import annotations

import ast
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from IPython.core.error import UsageError

from mtor_kernel.client import Media
from mtor_kernel.magics.arguments import parse
from mtor_kernel.magics.make import Make
from mtor_kernel.protocol.errors import BadInput

#: What a command may name in place of a file.
DEVICES = {"see": "camera", "listen": "microphone"}
#: Waits for what a device takes, by its name.
Take = Callable[[str], Awaitable[Media]]

_CALLS = {"run_line_magic", "run_cell_magic"}
#: Where nothing can be awaited, or not by the cell.
_CLOSED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


def device_of(command: object) -> str:
    """Return the device that a command names; empty for none. A file of that name goes first."""
    if not isinstance(command, Make):
        return ""
    named = DEVICES.get(command.command)
    return named if named == command.subject and not Path(named).exists() else ""


def check_no_device(command: Make) -> None:
    """Raise :class:`BadInput` where a plain call names a device: it could only wait in vain."""
    device = device_of(command)
    if device:
        thing, wait = {
            "camera": ("frame", "Camera().frame()"),
            "microphone": ("recording", "Microphone().recording()"),
        }[device]
        raise BadInput(
            f"The {device} is waited for at the top level of a cell, and not in a function. Write "
            f"{thing} = await {wait} there, of mtor_kernel.widgets, and here %mtor "
            f"{command.command} {{{thing}}}."
        )


def await_devices(lines: list[str]) -> list[str]:
    """Have a cell await each call of ``%mtor`` that names a device.

    Made for IPython's ``input_transformers_post``: a cell's lines in, a cell's lines out.
    """
    source = "".join(lines)
    if "'mtor'" not in source or not any(device in source for device in DEVICES.values()):
        return lines
    try:
        tree = compile(source, "", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    except (SyntaxError, ValueError):
        return lines
    made = [line.encode() for line in lines]
    # The last first, so that the places of those before stay what they are.
    for call in sorted(_calls(tree), key=lambda one: (one.lineno, one.col_offset), reverse=True):
        line, at = made[call.lineno - 1], call.col_offset
        made[call.lineno - 1] = line[:at] + b"await " + line[at:].replace(b"'mtor'", b"'amtor'", 1)
    return [line.decode() for line in made]


def _calls(node: ast.AST) -> Iterator[ast.Call]:
    """Yield the calls of ``%mtor`` that name a device, where they can be awaited."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _CLOSED):
            continue
        if isinstance(child, ast.Call) and _names_device(child):
            yield child
        yield from _calls(child)


def _names_device(call: ast.Call) -> bool:
    words = [arg.value for arg in call.args if isinstance(arg, ast.Constant)]
    match call.func, words:
        case ast.Attribute(attr=name), ["mtor", str(line), *rest] if name in _CALLS:
            try:
                return bool(device_of(parse(line, str(rest[0]) if rest else None)))
            except UsageError:
                return False
    return False
