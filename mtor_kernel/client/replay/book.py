"""The file of one notebook's recorded answers: lines that are only added.

Promises: a line that was told of is written whole; two kernels of one notebook do not mix theirs; a
line that is not as it was written is found when the file is read, and named. That may be the last
one, which a kernel was killed over: `mend` moves it away.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from mtor_kernel.client.replay.record import Models, Record, Took, seal, unseal
from mtor_kernel.client.replay.shelf import Shelf
from mtor_kernel.protocol.errors import ReplayDamaged, Unavailable

if TYPE_CHECKING:
    from mtor_kernel.client.replay.record import Line

#: How a replay file's name ends.
SUFFIX = ".mtor.jsonl"
#: How long another kernel may hold the file, in seconds.
LOCK_SECONDS = 10.0

#: Size and time of the file as it was read.
_Seen = tuple[int, int, int]


class Book:
    """The answers recorded beside one notebook. Safe in any thread.

    Parameters
    ----------
    path
        The file, ``NAME.mtor.jsonl``; it may not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.shelf = Shelf(path.with_name(path.name.removesuffix(SUFFIX) + ".mtor"))
        self._thread = threading.RLock()
        self._seen: _Seen | None = None
        self._by_number: dict[tuple[str, int], Record] = {}
        self._by_key: dict[tuple[str, str], Record] = {}
        self._took: dict[tuple[str, int], Took] = {}
        self._models: Models | None = None

    @property
    def records(self) -> list[Record]:
        """The answers, in the order of their questions; of those recorded anew the latest."""
        return list(self._by_number.values())

    @property
    def models(self) -> Models | None:
        """The models that there were, if somebody needed to know."""
        return self._models

    def refresh(self, *, shared: bool = True) -> None:
        """Read what is there now; `shared` where others may write meanwhile.

        Raises
        ------
        ReplayDamaged
            A line is not as it was written.
        """
        with self._thread:
            if self._look() == self._seen:
                return
            with self._locked() if shared else nullcontext():
                self._read()

    def find(self, question: str, number: int, key: str = "") -> Record | None:
        """Return the answer to a question: the one with its key, or else with its number."""
        found = self._by_key.get((question, key)) if key else None
        return found or self._by_number.get((question, number))

    def took(self, device: str, number: int) -> Took | None:
        """Return what a device has taken at one of its uses."""
        return self._took.get((device, number))

    def add(self, line: Line) -> None:
        """Write one line. A later answer to the same question and number takes the place of it.

        Raises
        ------
        ReplayDamaged
            The file is not as it was written: nothing was added.
        OSError
            It cannot be written: nothing was.
        """
        with self._thread, self._locked():
            if self._look() != self._seen:
                self._read()
            _append(self.path, seal(line))
            self._take(line)
            self._seen = self._look()

    def mend(self) -> int:
        """Move damaged lines to ``NAME.mtor.jsonl.damaged``; return how many there were."""
        with self._thread, self._locked():
            whole, damaged = [], []
            for line in self._lines():
                try:
                    unseal(line)
                    whole.append(line.rstrip(b"\r\n") + b"\n")
                except ValueError:
                    damaged.append(line.rstrip(b"\r\n") + b"\n")
            if damaged:
                _append(self.path.with_name(self.path.name + ".damaged"), b"".join(damaged))
                fresh = self.path.with_name(f".{self.path.name}.mended")
                fresh.write_bytes(b"".join(whole))
                fresh.replace(self.path)
            self._read()
            return len(damaged)

    def _read(self) -> None:
        self._forget()
        seen, lines = self._look(), self._lines()
        for number, line in enumerate(lines, 1):
            try:
                self._take(unseal(line))
            except ValueError as error:
                cut_off = number == len(lines) and not line.endswith(b"\n")
                raise self._damaged(
                    number, "it is cut off, as when a kernel is killed" if cut_off else str(error)
                ) from None
        self._seen = seen

    def _damaged(self, number: int, fault: str) -> ReplayDamaged:
        return ReplayDamaged(
            f"{self.path.name}, line {number}: {fault}. The other lines are untouched. Bring the "
            "file back from your version control, or write %mtor replay mend: it moves such lines "
            f"to {self.path.name}.damaged.",
            line=number,
        )

    def _unreadable(self, why: str) -> Unavailable:
        return Unavailable(
            f"{self.path} cannot be read: {why}. Put the file of recorded answers there, or name "
            "another notebook: %mtor replay on NAME.ipynb."
        )

    def _take(self, line: Line) -> None:
        if isinstance(line, Models):
            self._models = line
            return
        if isinstance(line, Took):
            self._took[line.device, line.number] = line
            return
        self._by_number[line.question, line.number] = line
        if line.key:
            self._by_key[line.question, line.key] = line

    def _forget(self) -> None:
        self._by_number.clear()
        self._by_key.clear()
        self._took.clear()
        self._models = self._seen = None

    def _lines(self) -> list[bytes]:
        try:
            lines = self.path.read_bytes().splitlines(keepends=True)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._unreadable(error.strerror or "it cannot be opened") from None
        return [line for line in lines if line.strip()]

    def _look(self) -> _Seen:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return (0, 0, 0)
        except OSError as error:
            raise self._unreadable(error.strerror or "it cannot be looked at") from None
        if not stat.S_ISREG(found.st_mode):
            raise self._unreadable("it is no file")  # a pipe or a device might never end
        return (found.st_ino, found.st_size, found.st_mtime_ns)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # Imported only here: a kernel that records nothing shall not pay for it.
        import filelock

        lock = filelock.FileLock(self.path.with_name(f".{self.path.name}.lock"), LOCK_SECONDS)
        try:
            lock.acquire()
        except filelock.Timeout:
            raise Unavailable(
                f"Another kernel has held {self.path.name} for {LOCK_SECONDS:.0f} seconds: "
                "try again."
            ) from None
        except OSError as error:
            raise Unavailable(
                f"Answers cannot be recorded in {self.path.parent}: {error.strerror}. Where "
                "nothing is to be recorded, write %mtor replay only or %mtor replay off."
            ) from None
        try:
            yield
        finally:
            lock.release()


def _append(path: Path, data: bytes) -> None:
    """Add bytes to a file, all or none, and at the beginning of a line."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        size = os.fstat(handle).st_size
        if size and os.pread(handle, 1, size - 1) != b"\n":
            data = b"\n" + data  # an editor took the last line's end away
        try:
            if os.write(handle, data) < len(data):
                raise OSError("the disk is full")
        except OSError:
            os.ftruncate(handle, size)
            raise
    finally:
        os.close(handle)
