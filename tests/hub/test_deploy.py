"""The files of `deploy/`: what they say is what the commands and the configuration take."""

import argparse
import configparser
import importlib
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import pytest
import yaml
from traitlets import HasTraits
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

from mtor_kernel.cli import main
from mtor_kernel.hub.configure import HubSetup
from mtor_kernel.hub.people import HubPeople
from mtor_kernel.hub.realm import HubRealm
from mtor_kernel.hub.report import environment
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


#: What the Compose specification knows of a service and of a network, as far as it is used here.
COMPOSE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["services", "networks", "volumes"],
    "properties": {
        "services": {
            "additionalProperties": {
                "type": "object",
                "additionalProperties": False,
                "required": ["build", "command", "restart", "networks"],
                "properties": {
                    "build": {
                        "additionalProperties": False,
                        "properties": {
                            "context": {"type": "string"},
                            "dockerfile": {"type": "string"},
                        },
                    },
                    "command": {"type": "array", "items": {"type": "string"}},
                    "restart": {"enum": ["no", "always", "on-failure", "unless-stopped"]},
                    "stop_grace_period": {"type": "string", "pattern": r"^\d+(s|m)$"},
                    "env_file": {"type": "string"},
                    "ports": {
                        "type": "array",
                        # To this machine only: the Hub's proxy is there.
                        "items": {"type": "string", "pattern": r"^127\.0\.0\.1:\d+:\d+$"},
                    },
                    "networks": {"type": "array", "items": {"type": "string"}},
                    "volumes": {
                        "type": "array",
                        "items": {"type": "string", "pattern": r"^[\w./-]+:/[\w./-]+(:ro)?$"},
                    },
                },
            }
        },
        "networks": {
            "additionalProperties": {
                "additionalProperties": False,
                "properties": {"internal": {"type": "boolean"}},
            }
        },
        "volumes": {"additionalProperties": {"type": "object", "maxProperties": 0}},
    },
}


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze here")
    units = []
    for path in sorted(DEPLOY.glob("systemd/*.service")):
        units.append(tmp_path / path.name)
        # A program that is there: what it says is another test's.
        units[-1].write_text(path.read_text().replace("/opt/mtor/bin/mtor", sys.executable))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, units)],
        capture_output=True,
        text=True,
        check=False,
    )
    # What it does not know, such as a setting that is misspelt, it only mentions.
    told = [line for line in done.stderr.splitlines() if str(tmp_path) in line]
    assert (done.returncode, told) == (0, [])


def test_the_units_write_only_where_they_may() -> None:
    for path in sorted(DEPLOY.glob("systemd/*.service")):
        unit = configparser.RawConfigParser(strict=False)
        unit.optionxform = str  # type: ignore[assignment,method-assign]  # names keep their case
        unit.read(path)
        service = unit["Service"]
        state = f"/var/lib/{service['StateDirectory']}"
        assert service["ProtectSystem"] == "strict"
        assert service["StateDirectoryMode"] == "0700"
        place = service.get("WorkingDirectory") or service["Environment"].removeprefix("MTOR_DATA=")
        assert place == state
        assert service["Restart"] == "always"


def test_the_compose_file_is_one_and_all_that_it_names_is_there() -> None:
    (compose,) = read("compose/docker-compose.yml")
    jsonschema.validate(compose, COMPOSE)
    folder = DEPLOY / "compose"
    for service in compose["services"].values():
        context = (folder / service["build"]["context"]).resolve()
        assert (context / service["build"]["dockerfile"]).is_file()
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            if source.startswith("./ca/"):
                continue  # made by `mtor certs`, as the first lines tell
            if source.startswith("."):
                assert (folder / source).is_file()
            else:
                assert source in compose["volumes"]
    # Who reaches the scheduler is in a network that leads nowhere, and only members are in it.
    assert compose["networks"]["cluster"]["internal"]
    assert compose["services"]["scheduler"]["networks"] == ["cluster"]
    config = PyFileConfigLoader("realm_config.py", path=str(folder)).load_config()
    for url in (config.HubRealm.scheduler, config.HubRealm.link_url):
        host = urlsplit(url).hostname
        assert "cluster" in compose["services"][host]["networks"]


def test_the_image_installs_extras_that_there_are() -> None:
    text = (DEPLOY / "compose" / "Dockerfile").read_text()
    extras = re.search(r"^ARG EXTRAS=(.+)$", text, re.MULTILINE)
    project = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())["project"]
    assert extras is not None
    assert set(extras[1].split(",")) <= set(project["optional-dependencies"])
    minor = re.search(r"^FROM python:3\.(\d+)-slim$", text, re.MULTILINE)
    assert minor is not None
    assert f"Programming Language :: Python :: 3.{minor[1]}" in project["classifiers"]
    ignored = (DEPLOY.parent / ".dockerignore").read_text().split()
    assert {".git", ".venv", ".hub", "deploy/compose/realm.env"} <= set(ignored)


def test_what_the_pod_and_the_chart_name_of_each_other_fits() -> None:
    found = {each["kind"]: each for each in read("kubernetes/realm.yaml")}
    (values,) = read("kubernetes/values.yaml")
    pod = found["Deployment"]["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    labels = pod["metadata"]["labels"]
    assert found["Deployment"]["spec"]["selector"]["matchLabels"] == labels
    assert found["Service"]["spec"]["selector"] == labels
    (port,) = found["Service"]["spec"]["ports"]
    assert container["ports"] == [{"containerPort": port["port"]}]
    # Each volume is declared, leads to what is there, and is mounted.
    volumes = {each.pop("name"): each for each in pod["spec"]["volumes"]}
    mounted = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    assert set(volumes) == set(mounted)
    claim = volumes["data"]["persistentVolumeClaim"]["claimName"]
    assert claim == found["PersistentVolumeClaim"]["metadata"]["name"]
    assert volumes["config"]["configMap"]["name"] == found["ConfigMap"]["metadata"]["name"]
    (key,) = found["ConfigMap"]["data"]
    assert container["args"][-1] == f"{mounted['config']}/{key}"
    told = {each["name"]: each for each in container["env"]}
    assert told["MTOR_DATA"]["value"].startswith(mounted["data"] + "/")
    # The realm is told what the report of `mtor doctor --hub` names, and where it really is.
    c = Config()
    setup = HubSetup(
        config=c, managed=False, url=f"http://{found['Service']['metadata']['name']}:{port['port']}"
    )
    needed = environment(setup, setup.prefix(c))
    for name in needed.keys() - {"JUPYTERHUB_API_URL"}:
        assert told[name]["value"] == needed[name]
    prefix = told["JUPYTERHUB_SERVICE_PREFIX"]["value"]
    probe = container["readinessProbe"]["httpGet"]
    assert probe == {"path": f"{prefix}health", "port": port["port"]}
    # One secret for both, and doors in the chart's policies for nobody but the realm.
    secret = told["JUPYTERHUB_API_TOKEN"]["valueFrom"]
    assert values["hub"]["extraEnv"]["MTOR_SERVICE_TOKEN"]["valueFrom"] == secret
    doors = [
        *values["hub"]["networkPolicy"]["ingress"],
        *values["proxy"]["chp"]["networkPolicy"]["egress"],
        *values["singleuser"]["networkPolicy"]["egress"],
    ]
    for door in doors:
        (other,) = door.get("from") or door["to"]
        assert other == {"podSelector": {"matchLabels": labels}}
        assert door["ports"] in ([{"port": port["port"]}], [{"port": 8081}])


@pytest.mark.parametrize("name", ["local/jupyterhub_config.py", "tljh/mtor.py"])
def test_the_doctor_shows_what_a_recipe_sets_up(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MTOR_HUB_FOLDER", str(tmp_path / "hub"))
    monkeypatch.setenv("MTOR_HUB_PORT", "10000")
    status = main(["doctor", "--hub", str(DEPLOY / name)])
    told = capsys.readouterr().out
    assert status == 0
    for setting in (
        "JupyterHub.custom_scopes",
        "JupyterHub.services: mtor at http://127.0.0.1:",
        "JupyterHub.load_roles: user",
        "JupyterHub.load_roles: mtor-sysops",
        "JupyterHub.load_groups",
        "Spawner.server_token_scopes",
        "Spawner.environment: MTOR_HUB_SERVICE=",
    ):
        assert setting in told
