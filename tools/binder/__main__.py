"""``python -m tools.binder FOLDER``: build the image there and open it.

``--check`` runs the first two notebooks without a network instead, and prints the memory they took.
"""

from __future__ import annotations

import argparse
import contextlib
import time
from pathlib import Path

from tools.binder.image import Image
from tools.binder.session import kinds, session

NOTEBOOKS = ("notebooks/00-first-query.ipynb", "notebooks/01-every-modality.ipynb")


def main() -> None:
    """Do what the arguments say."""
    parser = argparse.ArgumentParser("python -m tools.binder")
    parser.add_argument("folder", type=Path, help="where to build; what is there is lost")
    parser.add_argument("--check", action="store_true", help="measure, in place of opening it")
    parser.add_argument("--keep", action="store_true", help="take what was built before")
    given = parser.parse_args()
    image = Image(given.folder)
    if not given.keep:
        image.build()
    if given.check:
        check(image)
    else:
        with contextlib.suppress(KeyboardInterrupt):
            image.start("jupyter", "lab").wait()


def check(image: Image) -> None:
    """Run notebooks in it, and print what all of its processes had in memory."""
    with session(image) as one:
        for notebook in NOTEBOOKS:
            began = time.monotonic()
            cells = one.run_notebook(notebook)
            took = time.monotonic() - began
            failed = sum(told["msg_type"] == "error" for cell in cells for told in cell)
            print(f"{notebook}: {len(cells)} cells, {failed} failed, {took:.0f} s; ", end="")
            print(f"{one.measure() / 1e6:,.0f} MB now, {one.peak_bytes / 1e6:,.0f} MB at most")
        for name, size in sorted(kinds(one).items(), key=lambda item: -item[1]):
            print(f"{size / 1e6:8,.0f} MB  {name}")


if __name__ == "__main__":
    main()
