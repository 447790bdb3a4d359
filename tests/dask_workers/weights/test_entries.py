"""What a pull puts beside the catalogue is right, and is never written over."""

from __future__ import annotations

from pathlib import Path

import pytest

from dask_workers.weights import BUNDLES, Hosted, enter, spec_of
from mtor_kernel.realm.catalogue import load_catalogue
from mtor_kernel.scheduling.routing import expand

BUILT_IN = {spec.settings.get("weights") for spec in load_catalogue(None).models}
HOSTED = [name for name, one in BUNDLES.items() if isinstance(one.files[0].source, Hosted)]


@pytest.mark.parametrize("name", HOSTED)
def test_what_is_fetched_from_a_hub_is_named_to_the_last_byte(name: str) -> None:
    for file in BUNDLES[name].files:
        assert isinstance(file.source, Hosted)
        assert file.source.url().startswith("https://huggingface.co/")
        assert len(bytes.fromhex(file.sha256)) == 32
        assert file.size_bytes > 0


@pytest.mark.parametrize("name", HOSTED)
def test_every_hosted_model_has_an_entry_that_says_what_it_needs(name: str) -> None:
    spec = spec_of(name)
    assert spec is not None
    assert spec.name == spec.settings["weights"] == name
    assert spec.memory_mb > 0
    assert spec.description
    assert name not in BUILT_IN


@pytest.mark.parametrize("name", [name for name in BUNDLES if spec_of(name)])
def test_a_pulled_model_is_in_the_catalogue_and_leads_its_alias(name: str, tmp_path: Path) -> None:
    assert enter(name, tmp_path) is not None
    catalogue = load_catalogue(None, tmp_path)
    spec = catalogue.by_name[name]
    assert expand(catalogue, str(spec.modality))[0] == spec
    if spec.modality == "chat":
        assert expand(catalogue, "chat")[-1].name == "smollm2"


def test_an_entry_that_the_operator_has_changed_stays(tmp_path: Path) -> None:
    place = enter("sd15", tmp_path)
    assert place is not None
    place.write_text("# mine")
    assert enter("sd15", tmp_path) == place
    assert place.read_text() == "# mine"


def test_a_model_of_the_built_in_catalogue_needs_no_entry(tmp_path: Path) -> None:
    assert enter("smollm2", tmp_path) is None
    assert list(tmp_path.iterdir()) == []
