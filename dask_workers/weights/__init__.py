"""Weights of models: what can be had, where it comes from, and where it is kept.

They are no dependency of MTOR: they are large, and what carries them has dependencies of its own
that nobody needs here. Nothing is fetched unless somebody asks for it by name.
"""

from __future__ import annotations

from dask_workers.weights.bundle import Bundle, File, Hosted, WeightsError
from dask_workers.weights.bundles import BUNDLES
from dask_workers.weights.entries import enter, spec_of
from dask_workers.weights.place import default_data_dir
from dask_workers.weights.shelf import find, find_file, pull

__all__ = [
    "BUNDLES",
    "Bundle",
    "File",
    "Hosted",
    "WeightsError",
    "default_data_dir",
    "enter",
    "find",
    "find_file",
    "pull",
    "spec_of",
]
