"""What can be pulled, by name."""

from __future__ import annotations

from dask_workers.weights.bundle import Bundle, WeightsError
from dask_workers.weights.carried import CARRIED
from dask_workers.weights.hosted import HOSTED

#: Every bundle, the built-in ones first.
BUNDLES = {one.name: one for one in (*CARRIED, *HOSTED)}


def bundle(name: str) -> Bundle:
    """Return the bundle of that name; :class:`WeightsError` names those that there are."""
    try:
        return BUNDLES[name]
    except KeyError:
        names = ", ".join(sorted(BUNDLES))
        raise WeightsError(f"There are no weights named {name!r}; there are: {names}.") from None
