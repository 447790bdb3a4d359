"""Models that no catalogue names: found by workers behind an entry that stands for several.

An entry ``ollama`` with ``discover = true`` stands for ``ollama/llama3.2``, ``ollama/llava`` and
whatever else its server has: each is that entry under another name, at its prices.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from mtor_kernel.protocol.backend import ModelSpec
from mtor_kernel.scheduling.routing import Catalogue, entry_of


def with_discovered(catalogue: Catalogue, names: Iterable[str]) -> Catalogue:
    """Return `catalogue` with the models of these names that an entry of it stands for."""
    new = sorted({name for name in names if name not in catalogue.by_name} - set(catalogue.aliases))
    found = [spec for name in new if (spec := as_discovered(catalogue, name)) is not None]
    return msgspec.structs.replace(catalogue, models=(*catalogue.models, *found))


def as_discovered(catalogue: Catalogue, name: str) -> ModelSpec | None:
    """Return what a discovered model is for the realm; ``None`` where no entry stands for it."""
    entry = entry_of(catalogue, name)
    return None if entry is None else msgspec.structs.replace(entry, name=name, discover=False)
