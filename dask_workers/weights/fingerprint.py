"""What the weights of a model are: the SHA-256 of their files, worked out once a file.

The hash of a file is kept under its path, size and time of change, so a worker that starts again
reads nothing. Whoever changes a file and puts its time back deceives only themselves.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from dask_workers.weights.place import default_data_dir

#: The file of the hashes that are known, in the data directory.
FILE = "digests.json"
#: Files of one model; of more than so many no hash is made.
MOST_FILES = 1000
#: Hashes that are kept.
MOST_KEPT = 5000

_guard = threading.Lock()
#: By path: size, time of change in nanoseconds, SHA-256.
_Known = dict[str, tuple[int, int, str]]


def fingerprint(places: Iterable[Path], *, read: bool = True) -> str:
    """Return ``sha256:`` and the hash of what lies at `places`, files or folders.

    Of one file it is the file's own; of several that of the list of their names and hashes. Empty
    where it is not known, and nothing may be `read` to find out; or where there is nothing.
    """
    files = sorted(_files(places), key=lambda file: file.name)
    known, new = _kept(), _Known()
    hashes = []
    try:
        for file in files:
            found = _hash(file, known, new, read=read)
            if not found:
                return ""
            hashes.append(found)
    finally:
        _add(new)
    if not files:
        return ""
    if len(files) == 1:
        return f"sha256:{hashes[0]}"
    listed = "".join(f"{one}  {file.name}\n" for one, file in zip(hashes, files, strict=True))
    return f"sha256:{hashlib.sha256(listed.encode()).hexdigest()}"


def remember(hashes: Mapping[Path, str]) -> None:
    """Keep hashes of files that somebody has just worked out. A failure costs only time later."""
    new = _Known()
    for file, sha256 in hashes.items():
        with suppress(OSError):
            stat = file.stat()
            new[os.path.realpath(file)] = stat.st_size, stat.st_mtime_ns, sha256
    _add(new)


def _hash(file: Path, known: _Known, new: _Known, *, read: bool) -> str:
    """Return a file's hash; one that was not `known` is put among the `new`."""
    try:
        stat, path = file.stat(), os.path.realpath(file)
        size, changed, found = known.get(path, (-1, -1, ""))
        if (size, changed) == (stat.st_size, stat.st_mtime_ns):
            return found
        if not read:
            return ""
        with file.open("rb", buffering=0) as content:
            found = hashlib.file_digest(content, "sha256").hexdigest()
    except OSError:
        return ""
    # As it was before it was read: what has been written meanwhile is read again the next time.
    new[path] = stat.st_size, stat.st_mtime_ns, found
    return found


def _files(places: Iterable[Path]) -> list[Path]:
    found: list[Path] = []
    for place in places:
        inside = place.rglob("*") if place.is_dir() else [place]
        for one in inside:
            if one.is_file() and not one.name.startswith("."):
                found.append(one)
            if len(found) > MOST_FILES:
                return []
    return found


def _kept() -> _Known:
    try:
        told = json.loads((default_data_dir() / FILE).read_bytes())
        return {path: (int(size), int(at), str(found)) for path, (size, at, found) in told.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}  # none yet, or no such file: it is made anew


def _add(new: _Known) -> None:
    """Keep these too; all of them in one write."""
    if new:
        with suppress(OSError), _guard:
            _keep(dict(list({**_kept(), **new}.items())[-MOST_KEPT:]))


def _keep(known: _Known) -> None:
    folder = default_data_dir()
    handle, written = tempfile.mkstemp(dir=folder, prefix=f".{FILE}")
    try:
        with os.fdopen(handle, "w") as file:
            json.dump(known, file)
        Path(written).replace(folder / FILE)
    except BaseException:
        Path(written).unlink(missing_ok=True)
        raise
