"""The files of `deploy/`: what they say is what the commands and the configuration take."""

import argparse
import importlib
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from traitlets import HasTraits
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

from mtor_kernel.hub.configure import HubSetup
from mtor_kernel.hub.people import HubPeople
from mtor_kernel.hub.realm import HubRealm
from mtor_kernel.realm.people import People
from mtor_kernel.realm.realm import Realm

DEPLOY = Path(__file__).parents[2] / "deploy"
OURS = {kind.__name__: kind for kind in (HubPeople, HubRealm, HubSetup, People, Realm)}


def parsed(words: list[str]) -> argparse.Namespace:
    """Return what a command makes of its words; ends the test where it does not take them."""
    parser = argparse.ArgumentParser()
    importlib.import_module(f"mtor_kernel.cli.{words[0]}").add_arguments(parser)
    return parser.parse_args(words[1:])


def check_knobs(config: Config) -> None:
    """Find a name that is none of ours, or a value that it does not take."""
    for section in config:
        if section in OURS:
            known = OURS[section].class_traits(config=True)
            for name, value in config[section].items():
                known[name]._validate(HasTraits(), value)


@pytest.mark.parametrize("path", sorted(DEPLOY.glob("systemd/*.service")), ids=lambda it: it.name)
def test_a_unit_starts_a_command_that_there_is(path: Path) -> None:
    line = next(line for line in path.read_text().splitlines() if line.startswith("ExecStart="))
    command = shlex.split(line.partition("=")[2])
    assert command[0] == "/opt/mtor/bin/mtor"
    parsed(command[1:])


@pytest.mark.parametrize("path", sorted(DEPLOY.rglob("realm_config.py")), ids=str)
def test_a_realms_configuration_names_knobs_that_there_are(path: Path) -> None:
    config = PyFileConfigLoader(path.name, path=str(path.parent)).load_config()
    assert set(config) & set(OURS)
    check_knobs(config)


def test_the_hub_of_tljh_is_configured() -> None:
    config = PyFileConfigLoader("mtor.py", path=str(DEPLOY / "tljh")).load_config()
    check_knobs(config)
    (service,) = config.JupyterHub.services
    assert service["environment"]["MTOR_DATA"] == "/opt/tljh/state/mtor"


def read(name: str) -> list[Any]:
    return list(yaml.safe_load_all((DEPLOY / name).read_text()))


def test_the_containers_run_commands_that_there_are() -> None:
    (compose,) = read("compose/docker-compose.yml")
    for service in compose["services"].values():
        parsed(service["command"])
        assert set(service["networks"]) <= set(compose["networks"])
    assert "ports" not in compose["services"]["scheduler"]


def test_the_pod_runs_a_command_that_there_is(tmp_path: Path) -> None:
    found = {each["kind"]: each for each in read("kubernetes/realm.yaml")}
    (container,) = found["Deployment"]["spec"]["template"]["spec"]["containers"]
    parsed(container["args"])
    path = tmp_path / "realm_config.py"
    path.write_text(found["ConfigMap"]["data"]["realm_config.py"])
    check_knobs(PyFileConfigLoader(path.name, path=str(tmp_path)).load_config())


def test_the_charts_values_configure_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTOR_SERVICE_TOKEN", "x" * 32)
    (values,) = read("kubernetes/values.yaml")
    c = Config()
    exec(values["hub"]["extraConfig"]["90-mtor"], {"c": c})
    assert c.JupyterHub.services[0]["url"] == "http://mtor-realm:8103"
    where = "http://mtor-realm:8103/services/mtor/"
    assert c.Spawner.environment["MTOR_HUB_SERVICE"] == where
