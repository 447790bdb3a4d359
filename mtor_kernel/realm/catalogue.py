"""The catalogue's file: models, prices, aliases and chains, read again without a restart."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from mtor_kernel.protocol.errors import BadInput
from mtor_kernel.scheduling.routing import Catalogue, parse_catalogue


def load_catalogue(path: Path | None) -> Catalogue:
    """Return the catalogue of the file at `path`; ``None``: the one that MTOR brings.

    Raises
    ------
    BadInput
        What the file says is no catalogue; names the table and what to do.
    OSError
        It cannot be read.
    """
    if path is None:
        return parse_catalogue((files("mtor_kernel.realm") / "catalogue.toml").read_text("utf-8"))
    catalogue = parse_catalogue(path.read_text("utf-8"))
    if not catalogue.models:
        raise BadInput(f"{path} names no model: write at least one [[models]] table.")
    return catalogue
