"""The catalogue that the page on backends shows is one that a realm takes."""

import pytest

from dask_workers.discovery import backend_names, discover
from mtor_kernel.protocol.backend import ModelSpec
from mtor_kernel.scheduling.routing import parse_catalogue
from tests.docs.pages import blocks, page

PAGE = page("operator/backends.md")
CATALOGUE = parse_catalogue("\n".join(blocks(PAGE, "toml")))


@pytest.mark.parametrize("spec", CATALOGUE.models, ids=lambda spec: spec.name)
def test_a_model_on_the_page_is_one_that_its_backend_takes(spec: ModelSpec) -> None:
    (found,) = discover([spec])
    assert found.backend is not None, found.missing


def test_a_chain_on_the_page_leads_from_the_laptop_to_the_cloud() -> None:
    backends = [CATALOGUE.by_name[name].backend for name in CATALOGUE.aliases["chat"]]
    assert backends[0] == "llama_cpp"
    assert len(set(backends)) == len(backends)


def test_every_backend_that_asks_a_service_has_an_example() -> None:
    shown = {spec.backend for spec in CATALOGUE.models}
    assert shown & set(backend_names()) == shown
    assert "openai_compatible" in shown
