"""Which files a quick run need not import: torch, papermill and browsers weigh seconds each."""

import ast
import re
from pathlib import Path


def left_out(expression: str) -> frozenset[str]:
    """Return the marks that `-m` leaves out, where it does nothing else: "not slow and not gpu"."""
    if not re.fullmatch(r"not \w+( and not \w+)*", expression):
        return frozenset()
    return frozenset(re.findall(r"not (\w+)", expression))


def marks_of(file: Path) -> frozenset[str]:
    """Return what a file's `pytestmark` gives to every test in it."""
    source = file.read_bytes()
    if b"\npytestmark" not in source:
        return frozenset()  # to parse every file would cost half of what is saved
    for statement in ast.parse(source).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id="pytestmark")], value=value):
                return frozenset(
                    node.attr for node in ast.walk(value) if isinstance(node, ast.Attribute)
                )
    return frozenset()
