"""The catalogue's file: models, prices, aliases and chains, read again without a restart."""

from __future__ import annotations

import time
from importlib.resources import files
from pathlib import Path

from mtor_kernel.protocol.errors import BadInput, RealmError
from mtor_kernel.realm.pulled import FOLDER, with_pulled
from mtor_kernel.scheduling.routing import Catalogue, parse_catalogue

#: What tells one state of the files from another: of each its path, time of change and size.
Print = tuple[tuple[str, int, int], ...]


class CatalogueFile:
    """The files of a realm's catalogue, and whether what they say now is in force.

    Its methods read the disk: call them in a thread.
    """

    def __init__(self, path: Path | None, data_dir: Path) -> None:
        self.path = path
        self._data_dir = data_dir
        #: When what is in force was read, in seconds since the epoch.
        self.read_at = 0.0
        #: Why what the file says now is not in force; empty where it is.
        self.fault = ""
        self._read: Print = ()
        self._seen: Print = ()

    def load(self) -> Catalogue:
        """Return what the files say.

        Raises
        ------
        BadInput
            It is no catalogue; says where and what to do. It stays a `fault` until a later load.
        OSError
            They cannot be read; that too.
        """
        self._read = self._seen = self._print()
        try:
            catalogue = load_catalogue(self.path, self._data_dir)
        except RealmError as error:
            self.fault = error.message
            raise
        except OSError as error:
            self.fault = f"The catalogue {self.path} cannot be read ({error}): mend that."
            raise
        self.fault, self.read_at = "", time.time()
        return catalogue

    def has_changed(self) -> bool:
        """Tell whether the files are others than those last loaded, and have come to rest.

        True from the second look on that finds them the same: an editor may be at work still.
        """
        seen, self._seen = self._seen, self._print()
        return self._seen != self._read and self._seen == seen

    def _print(self) -> Print:
        files = [self.path] if self.path is not None else []
        pulled = sorted((self._data_dir / FOLDER).glob("*.toml"))
        return tuple(_print(path) for path in (*files, self._data_dir / FOLDER, *pulled))


def _print(path: Path) -> tuple[str, int, int]:
    try:
        found = path.stat()
    except OSError:
        return str(path), 0, 0
    return str(path), found.st_mtime_ns, found.st_size


def load_catalogue(path: Path | None, data_dir: Path | None = None) -> Catalogue:
    """Return the catalogue of the file at `path`; ``None``: the one that MTOR brings.

    With `data_dir`, and the models that were pulled into that directory.

    Raises
    ------
    BadInput
        What the file says is no catalogue; names the table and what to do.
    OSError
        It cannot be read.
    """
    catalogue = _written(path)
    if data_dir is None:
        return catalogue
    return with_pulled(catalogue, data_dir / FOLDER, lead=path is None)


def _written(path: Path | None) -> Catalogue:
    if path is None:
        return parse_catalogue((files("mtor_kernel.realm") / "catalogue.toml").read_text("utf-8"))
    try:
        catalogue = parse_catalogue(path.read_text("utf-8-sig"))  # editors put a mark before it
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is no UTF-8 text ({error}): save it as such.") from None
    if not catalogue.models:
        raise BadInput(f"{path} names no model: write at least one [[models]] table.")
    return catalogue
