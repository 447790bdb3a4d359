"""What one can turn, call or meet is described: knobs, commands, addresses, errors."""

import argparse
import importlib
import json
import pkgutil
from collections.abc import Iterator

import msgspec
import pytest
from traitlets.config import Configurable

import mtor_kernel
from dask_workers import backends
from mtor_kernel.cli import COMMANDS
from mtor_kernel.gateway.app import ROUTES
from mtor_kernel.gateway.failures import status_of
from mtor_kernel.magics.arguments import HELP, LOOKING
from mtor_kernel.protocol import account, backend, errors, quota
from tests.docs.pages import DOCS, page, rows, section
from tests.gateway.test_routes import methods_of


def configurables() -> list[type[Configurable]]:
    """Every class of ours that has a knob of its own."""
    found = []
    for module in pkgutil.walk_packages(mtor_kernel.__path__, "mtor_kernel."):
        if module.name.split(".")[1] not in ("realm", "gateway", "server", "hub"):
            continue
        for kind in vars(importlib.import_module(module.name)).values():
            ours = isinstance(kind, type) and kind.__module__ == module.name
            if ours and issubclass(kind, Configurable):
                found.append(kind)
    return found


def test_the_knobs_that_are_there_are_described_with_their_defaults() -> None:
    knobs = {
        f"{kind.__name__}.{name}": trait.default()
        for kind in configurables()
        for name, trait in kind.class_own_traits(config=True).items()
    }
    told = {cells[0].strip("`"): cells[1] for cells in rows(page("operator/configuration.md"))}
    assert {
        name: json.loads(default.strip("`")) for name, default in told.items() if "." in name
    } == knobs


def options(parser: argparse.ArgumentParser) -> Iterator[str]:
    """The options of a parser and of its verbs."""
    for action in parser._actions:
        yield from (option for option in action.option_strings if option not in ("-h", "--help"))
        if isinstance(action, argparse._SubParsersAction):
            for verb, below in action.choices.items():
                yield verb
                yield from options(below)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_described_with_all_that_it_takes(command: str) -> None:
    parser = argparse.ArgumentParser()
    importlib.import_module(f"mtor_kernel.cli.{command}").add_arguments(parser)
    told = section(page("user/cli.md"), f"`mtor {command}`")
    assert [one for one in options(parser) if one not in told] == []


@pytest.mark.parametrize("command", LOOKING)
def test_a_line_magic_is_described(command: str) -> None:
    assert f"`%mtor {command}" in page("user/magics.md")


def test_the_options_of_a_question_are_described() -> None:
    wanted = {word.strip(",") for word in HELP.split() if word.startswith("-")}
    assert [word for word in wanted if f"`{word}" not in page("user/magics.md")] == []


def test_every_address_is_described_with_its_scope() -> None:
    told = {cells[0]: cells[2] for cells in rows(section(page("http.md"), "Addresses"))[2:]}
    assert told == {f"`{path}`": f"`{handler.scope}`" for path, handler in ROUTES}


def test_an_address_is_described_with_its_methods() -> None:
    for cells in rows(section(page("http.md"), "Addresses"))[2:]:
        handler = dict(ROUTES)[cells[0].strip("`")]
        assert cells[1] == "WebSocket" or set(cells[1].split(", ")) == set(methods_of(handler))


def tree(root: type[errors.RealmError], depth: int = 0) -> Iterator[list[str]]:
    """The table of errors: code, class with its depth, status."""
    indent = "— " * depth
    yield [f"`{root.code}`", f"{indent}`{root.__name__}`", str(status_of(root("")))]
    for child in root.__subclasses__():
        yield from tree(child, depth + 1)


def test_every_error_is_described_with_its_status() -> None:
    told = [cells[:3] for cells in rows(section(page("http.md"), "Errors"))[2:]]
    assert told == list(tree(errors.RealmError))


def fields(kind: type[msgspec.Struct]) -> list[str]:
    return [f"`{field.name}`" for field in msgspec.structs.fields(kind)]


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("operator/catalogue.md", backend.ModelSpec),
        ("operator/catalogue.md", account.RateCard),
        ("concepts/credits.md", quota.Quotas),
    ],
)
def test_every_line_that_may_be_written_is_described(
    place: str, kind: type[msgspec.Struct]
) -> None:
    told = " ".join(cells[0] for cells in rows(page(place)))
    assert [name for name in fields(kind) if name not in told] == []


SETTINGS = [
    module.Settings
    for found in pkgutil.iter_modules(backends.__path__)
    if hasattr(module := importlib.import_module(f"dask_workers.backends.{found.name}"), "Settings")
]


@pytest.mark.parametrize("kind", SETTINGS, ids=lambda kind: kind.__module__)
def test_every_setting_of_a_backend_is_described(kind: type[msgspec.Struct]) -> None:
    texts = [path.read_text("utf-8") for path in (DOCS / "operator").glob("*.md")]
    told = " ".join(cells[0] for text in texts for cells in rows(text))
    assert [name for name in fields(kind) if name not in told] == []
