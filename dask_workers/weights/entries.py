"""The catalogue's entries of bundles: a TOML file each, which a pull puts beside the catalogue.

A realm reads the folder ``models.d`` of its data directory with its catalogue, so that a model that
was pulled is served without an edit. A bundle without such a file stands in the built-in catalogue.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import msgspec

from dask_workers.weights.place import default_data_dir
from mtor_kernel.protocol.backend import ModelSpec

#: Folder of the entries within the data directory.
FOLDER = "models.d"


class _Entry(msgspec.Struct):
    """As much of the file as is looked at here."""

    models: tuple[ModelSpec, ...]


def read_entry(name: str) -> str:
    """Return the TOML of a bundle's entry; empty for one of the built-in catalogue."""
    entry = files("dask_workers.weights") / "entries" / f"{name}.toml"
    return entry.read_text("utf-8") if entry.is_file() else ""


def spec_of(name: str) -> ModelSpec | None:
    """Return the model that a bundle becomes; ``None`` for one of the built-in catalogue."""
    text = read_entry(name)
    return msgspec.toml.decode(text, type=_Entry).models[0] if text else None


def enter(name: str, data_dir: Path | str | None = None) -> Path | None:
    """Put a bundle's entry beside the catalogue, unless the operator has one of that name there.

    Return where it lies; ``None`` for a model of the built-in catalogue.
    """
    text = read_entry(name)
    if not text:
        return None
    place = Path(data_dir or default_data_dir()) / FOLDER / f"{name}.toml"
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        new = place.with_suffix(".new")
        new.write_text(text, "utf-8")
        new.replace(place)  # a realm may be reading the folder
    return place
