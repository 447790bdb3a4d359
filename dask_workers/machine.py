"""What this machine has for models: RAM, GPU memory, disk."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import psutil

from mtor_kernel.protocol.backend import ModelSpec

_MB = 1 << 20
#: Longest that a GPU's driver may take to answer.
_ASK_SECONDS = 5.0


class Machine(NamedTuple):
    """What there is in all, and what of the disk is free; in MiB."""

    memory_mb: int
    #: Of the largest GPU; 0 where there is none.
    vram_mb: int
    disk_mb: int

    def __str__(self) -> str:
        gpu = f"a GPU of {self.vram_mb:,} MB" if self.vram_mb else "no GPU"
        return f"{self.memory_mb:,} MB of RAM, {gpu}, and {self.disk_mb:,} MB of free disk"

    def lacks(self, size_bytes: int, spec: ModelSpec | None) -> str:
        """Return what is too little for a model of that size on the disk; empty where it fits."""
        if size_bytes > self.disk_mb * _MB:
            return "the disk is too full"
        if spec is not None and spec.memory_mb > self.memory_mb:
            return f"needs {spec.memory_mb:,} MB of RAM"
        if spec is not None and spec.vram_mb > self.vram_mb:
            return f"wants a GPU of {spec.vram_mb:,} MB"
        return ""


def look(folder: Path) -> Machine:
    """Return what this machine has, with the disk that `folder` is on, or would be."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return Machine(
        psutil.virtual_memory().total // _MB,
        max(gpus(), default=0),
        shutil.disk_usage(there).free // _MB,
    )


def gpus() -> list[int]:
    """Return the memory of each NVIDIA GPU, in MiB, as its driver says; empty without one."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    ask = [program, "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        said = subprocess.run(
            ask, capture_output=True, text=True, timeout=_ASK_SECONDS, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [int(line) for line in said.split() if line.isdecimal()]
