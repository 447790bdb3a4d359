"""The page of models says of every one what it takes, and names no other."""

import pytest

from dask_workers.weights import BUNDLES, spec_of
from mtor_kernel.realm.catalogue import load_catalogue
from tests.docs.pages import page, rows

TOLD = {
    cells[0].strip("`"): cells
    for cells in rows(page("operator/models.md"))
    if cells[0].startswith("`")
}
BUILT_IN = {spec.settings.get("weights", spec.name): spec for spec in load_catalogue(None).models}


@pytest.mark.parametrize("name", BUNDLES)
def test_a_model_is_listed_with_its_licence_and_size(name: str) -> None:
    _, _, licence, disk, memory, _ = TOLD[name]
    assert licence == BUNDLES[name].licence
    assert disk == f"{BUNDLES[name].size_bytes / 1e6:.0f} MB"
    spec = spec_of(name) or BUILT_IN[name]
    assert memory == f"{spec.memory_mb} MB"


def test_no_model_is_listed_that_is_not_there() -> None:
    assert set(TOLD) == set(BUNDLES)
