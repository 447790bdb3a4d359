"""``python -m dask_workers.weights NAME FOLDER``: a pull that a program starts and watches.

The weights go where workers look for them, and the model's entry into the `FOLDER` of a realm.
Each line that it prints is JSON: ``{"here": bytes, "size": bytes, "note": …}``; a last one with
``error`` says why it failed. It ends when its standard input does: with whoever started it.
"""

from __future__ import annotations

import os
import sys
import threading
import time

import msgspec

from dask_workers.weights.bundle import File, WeightsError
from dask_workers.weights.bundles import bundle
from dask_workers.weights.entries import enter
from dask_workers.weights.shelf import pull

#: Between two lines about one file.
_TELL_SECONDS = 0.5


class _Teller:
    """Prints how far it is."""

    def __init__(self, name: str) -> None:
        self._sizes = dict.fromkeys(bundle(name).files, 0)
        self._size, self._told_at = bundle(name).size_bytes, 0.0

    def say(self, sentence: str) -> None:
        """Tell what happens."""
        self._print(sentence)

    def measure(self, file: File, done: int) -> None:
        """Tell how much is here, now and then."""
        self._sizes[file] = done
        now = time.monotonic()
        if now - self._told_at > _TELL_SECONDS:
            self._told_at = now
            self._print("")

    def _print(self, note: str) -> None:
        line = {"here": sum(self._sizes.values()), "size": self._size, "note": note}
        _out(line)


def _out(line: dict[str, object]) -> None:
    sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
    sys.stdout.flush()


def _watch() -> None:
    while os.read(0, 4096):
        pass
    os._exit(1)


def main(name: str, folder: str) -> int:
    """Pull, and put the model into the catalogue."""
    threading.Thread(target=_watch, daemon=True).start()
    try:
        teller = _Teller(name)
        pull(name, None, teller.say, teller.measure)
        enter(name, folder)
    except WeightsError as error:
        _out({"error": str(error)})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
