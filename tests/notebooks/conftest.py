"""A realm with models that answer at once, and the kernel of this tree."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mtor_kernel.locate import RuntimeFile, data_dir
from tests.kernel.driving import offer_kernels
from tests.kernel.elsewhere import RealmElsewhere


@pytest.fixture(scope="session", autouse=True)
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with offer_kernels(tmp_path_factory.mktemp("jupyter")):
        yield


@pytest.fixture(scope="module")
def realm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealmElsewhere]:
    """A small realm, which the environment names."""
    elsewhere = RealmElsewhere(tmp_path_factory.mktemp("realm"))
    with pytest.MonkeyPatch.context() as environment:
        for name, value in elsewhere.environment.items():
            environment.setenv(name, value)
        yield elsewhere
    elsewhere.close()


@pytest.fixture
def own_realm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No realm yet; the one that starts has the weights of the user who runs the tests."""
    weights = data_dir() / "models"
    if not any(weights.glob("smollm2/*")):
        pytest.skip("needs the weights: run `mtor pull smollm2`")
    data = tmp_path / "data"
    data.mkdir()
    (data / "models").symlink_to(weights)
    for name in ("MTOR_URL", "MTOR_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MTOR_DATA", os.fspath(data))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", os.fspath(tmp_path / "runtime"))
    yield
    if RuntimeFile().read() is not None:
        subprocess.run([sys.executable, "-m", "mtor_kernel.cli", "realm", "stop"], check=True)
