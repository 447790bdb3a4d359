"""What a camera or a microphone has taken, in the memory of the kernel and nowhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mtor_kernel.client import Media
from mtor_kernel.client.received import opened


class Taken(Media, frozen=True):
    """A picture or a recording. The realm takes it wherever it takes a file.

    As a cell's last value it shows its size and not itself, since a notebook keeps what a cell
    shows: :meth:`show` is for that.
    """

    def __repr__(self) -> str:
        what = "picture" if self.kind == "image" else "recording"
        return f"<{what}, {self.mime}, {len(self.content):,} bytes>"

    @property
    def pil(self) -> Any:
        """It as a Pillow image; Pillow must be installed."""
        return opened(self.content)

    def save(self, path: str | Path) -> Path:
        """Write it to a file and return where."""
        where = Path(path).expanduser()
        where.write_bytes(self.content)
        return where

    def show(self) -> None:
        """Show it below the cell. The notebook then keeps it."""
        from IPython.display import Audio, Image, display

        display(Image(self.content) if self.kind == "image" else Audio(self.content))
