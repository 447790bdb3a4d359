"""What Binder would do: the image is built in a clean place and opened without a network."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.binder.image import ROOT, Image
from tools.binder.session import Session, session

BINDER = ROOT / "binder"
#: What Binder grants a session.
GRANTED_BYTES = 2_000_000_000
FIRST = "notebooks/00-first-query.ipynb"


@pytest.mark.parametrize("name", ["postBuild", "start"])
def test_a_script_can_be_run_and_is_a_script(name: str) -> None:
    script = BINDER / name
    assert os.access(script, os.X_OK)
    assert script.read_text().startswith("#!/bin/bash\n")
    subprocess.run(["bash", "-n", script], check=True)


def test_start_makes_way_for_the_server() -> None:
    ran = subprocess.run(
        [BINDER / "start", "env"], env={"PATH": os.defpath}, capture_output=True, check=True
    )
    assert b"MTOR_MEMORY_MB=1100" in ran.stdout
    assert (BINDER / "start").read_text().rstrip().endswith('exec "$@"')


def test_it_opens_a_notebook_that_is_there() -> None:
    configured = json.loads((BINDER / "jupyter_config.json").read_text())
    for server in ("LabApp", "ServerApp"):
        assert configured[server]["default_url"] == f"/lab/tree/{FIRST}"
    assert (ROOT / FIRST).is_file()


def test_repo2docker_reads_it_as_it_is_meant() -> None:
    """Its own recipe for the image, as far as it goes where no container engine is."""
    read = subprocess.run(
        [sys.executable, "-m", "repo2docker", "--no-build", "--debug", ROOT],
        capture_output=True,
        text=True,
        check=True,
    )
    recipe = read.stdout + read.stderr
    (python,) = re.findall(r"environment-2epy-2d([\d.e-]+)-2dlinux", recipe)
    wanted = (BINDER / "runtime.txt").read_text().strip().removeprefix("python-")
    assert python.replace("-2e", ".") == wanted
    person, post_build = recipe.rindex("USER ${NB_USER}"), recipe.index("RUN ./binder/postBuild")
    assert recipe.index("COPY --chown=") < recipe.index("src/ ${REPO_DIR}") < person < post_build
    assert 'ENV R2D_ENTRYPOINT="${REPO_DIR}/binder/start"' in recipe


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    image = Image(tmp_path_factory.mktemp("binder"))
    image.build()
    with session(image) as lab:
        yield lab


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_first_notebook_is_answered_within_what_binder_grants(lab: Session) -> None:
    for cell in lab.run_notebook(FIRST):
        assert not [told for told in cell if told["msg_type"] == "error"]
    assert 100_000_000 < lab.peak_bytes < GRANTED_BYTES


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_it_opens_on_the_first_notebook(lab: Session) -> None:
    lab.get("")
    assert lab.landed == f"{lab.url}lab/tree/{FIRST}"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_panel_and_the_relay_are_there(lab: Session) -> None:
    assert '"name": "mtor-realm"' in lab.get("lab")
    assert {one["name"] for one in lab.get("mtor/api/models")["items"]} >= {"smollm2", "chat"}


@pytest.mark.slow
def test_nothing_of_the_build_is_left(lab: Session) -> None:
    assert not list(Path(lab.image.home).glob("labextension/node_modules"))
