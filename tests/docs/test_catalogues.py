"""The page on remote models: its catalogue is one that a realm takes, every setting is told."""

import msgspec
import pytest

from dask_workers.backends import anthropic, http_api, huggingface, ollama, openai_compatible
from dask_workers.discovery import discover
from dask_workers.remote import ServiceSettings
from dask_workers.template import Parameter
from mtor_kernel.protocol.backend import ModelSpec
from mtor_kernel.scheduling.discovered import with_discovered
from mtor_kernel.scheduling.routing import parse_catalogue
from tests.docs.pages import blocks, page, rows, section

PAGE = page("operator/backends.md")
CATALOGUE = parse_catalogue("\n".join(blocks(PAGE, "toml")))


@pytest.mark.parametrize("spec", CATALOGUE.models, ids=lambda spec: spec.name)
def test_a_model_on_the_page_is_one_that_its_backend_takes(spec: ModelSpec) -> None:
    # One that stands for others would ask its server for them.
    (found,) = discover([msgspec.structs.replace(spec, discover=False)])
    assert found.backend is not None, found.missing


def test_a_chain_on_the_page_leads_from_the_laptop_to_the_cloud() -> None:
    found = with_discovered(CATALOGUE, CATALOGUE.aliases["chat"])
    backends = [found.by_name[name].backend for name in CATALOGUE.aliases["chat"]]
    assert backends[0] == "llama_cpp"
    assert len(set(backends)) == len(backends)


SERVICES = {
    "OpenAI's dialect: vLLM, llama-server, LocalAI, OpenAI": openai_compatible.Settings,
    "Ollama": ollama.Settings,
    "Anthropic: Claude": anthropic.Settings,
    "Hugging Face": huggingface.Settings,
    "An API of somebody else's": http_api.Settings,
}


@pytest.mark.parametrize("heading", SERVICES)
def test_every_setting_of_a_backend_is_told_with_its_default(heading: str) -> None:
    told = {cells[0].strip("`"): cells[1].strip("`") for cells in rows(section(PAGE, heading))}
    shared = {one.name: one for one in msgspec.structs.fields(ServiceSettings)}
    for one in msgspec.structs.fields(SERVICES[heading]):
        default = one.default_factory() if one.default is msgspec.NODEFAULT else one.default
        if one.name not in shared:
            assert msgspec.json.decode(told[one.name]) == default
        elif default != shared[one.name].default:
            assert f'`"{default}"`' in section(PAGE, heading), one.name


def test_all_that_a_parameter_may_say_is_told() -> None:
    told = {cells[0].strip("`") for cells in rows(section(PAGE, "An API of somebody else's"))}
    assert {one.name for one in msgspec.structs.fields(Parameter)} <= told


def test_every_setting_of_every_service_is_told() -> None:
    told = {cells[0].strip("`") for cells in rows(section(PAGE, "Settings of every service"))}
    assert {one.name for one in msgspec.structs.fields(ServiceSettings)} <= told


def test_every_backend_that_asks_a_service_has_an_example() -> None:
    shown = {spec.backend for spec in CATALOGUE.models}
    assert {kind.__module__.rpartition(".")[2] for kind in SERVICES.values()} <= shown
