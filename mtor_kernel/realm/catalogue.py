"""The catalogue's file: models, prices, aliases and chains, read again without a restart."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from mtor_kernel.protocol.errors import BadInput
from mtor_kernel.realm.pulled import FOLDER, with_pulled
from mtor_kernel.scheduling.routing import Catalogue, parse_catalogue


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
    catalogue = parse_catalogue(path.read_text("utf-8"))
    if not catalogue.models:
        raise BadInput(f"{path} names no model: write at least one [[models]] table.")
    return catalogue
