"""The configuration file of a realm: traitlets' own, which is executed as Python."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mtor_kernel.protocol.errors import BadInput

if TYPE_CHECKING:
    from traitlets.config import Config

#: The file that is read from the data folder where none is named.
CONFIG_NAME = "realm_config.py"


def file_of(path: Path | None, data_dir: Path) -> Path:
    """Return the file that counts: the one that is named, or the data folder's own."""
    return path or data_dir / CONFIG_NAME


def read_config(path: Path | None, data_dir: Path) -> Config:
    """Return what the file says; nothing, where none is named and the data folder has none.

    Raises
    ------
    BadInput
        There is no such file, or it cannot be read as Python.
    """
    from traitlets.config import Config
    from traitlets.config.loader import PyFileConfigLoader

    file = file_of(path, data_dir)
    if path is not None and not path.is_file():
        raise BadInput(f"There is no configuration file {path}.")
    if not file.is_file():
        return Config()
    try:
        return PyFileConfigLoader(file.name, path=str(file.parent)).load_config()
    except Exception as error:  # whatever the operator's own Python raises
        raise BadInput(f"{file} cannot be read: {type(error).__name__}: {error}.") from error
