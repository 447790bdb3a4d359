"""Weights of models: what can be had, where it comes from, and where it is kept.

They are no dependency of MTOR: they are large, and what carries them has dependencies of its own
that nobody needs here. Nothing is fetched unless somebody asks for it by name.
"""

from __future__ import annotations

from dask_workers.weights.bundles import BUNDLES, Bundle, WeightsError
from dask_workers.weights.shelf import default_data_dir, find, find_file, pull

__all__ = [
    "BUNDLES",
    "Bundle",
    "WeightsError",
    "default_data_dir",
    "find",
    "find_file",
    "pull",
]
