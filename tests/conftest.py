"""What every test gets: no realm, token, data or runtime directory of whoever runs the tests."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from mtor_kernel.locate import data_dir
from tests import postgres
from tests.marks import left_out, marks_of

# Tests run in a process a core. Where each of them, and all that they start, compute on every core,
# threads that spin wait for one another: what takes 20 seconds took 100.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell has what it puts into the background ignore SIGINT, which is handed on to children: the
# programs that tests interrupt would not notice.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says something of the machine, and nothing of the code.
settings.register_profile("mtor", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("mtor")

#: Where to find a realm and who is asking: a test that wants these sets them itself.
REALM_VARIABLES = (
    "MTOR_URL",
    "MTOR_TOKEN",
    "MTOR_HUB_SERVICE",
    "JUPYTERHUB_API_TOKEN",
    "JUPYTERHUB_API_URL",
)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out a file of which `-m` would leave no test."""
    out = left_out(config.option.markexpr)
    if out and collection_path.match("test_*.py") and not out.isdisjoint(marks_of(collection_path)):
        return True
    return None


@pytest.fixture(scope="session", autouse=True)
def a_home_of_their_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Point Jupyter's and IPython's directories at a temporary folder, for child processes too."""
    home = tmp_path_factory.mktemp("home")
    # The weights are shared with whoever runs the tests: they are large, and checked when used.
    weights = data_dir() / "models"
    weights.mkdir(exist_ok=True)
    (home / "data").mkdir()
    (home / "data" / "models").symlink_to(weights)
    with pytest.MonkeyPatch.context() as environment:
        for name in REALM_VARIABLES:
            environment.delenv(name, raising=False)
        environment.setenv("MTOR_DATA", os.fspath(home / "data"))
        environment.setenv("JUPYTER_RUNTIME_DIR", os.fspath(home / "runtime"))
        environment.setenv("JUPYTER_CONFIG_DIR", os.fspath(home / "config"))
        environment.setenv("IPYTHONDIR", os.fspath(home / "ipython"))
        yield home


@pytest.fixture(scope="session")
def postgresql() -> Iterator[postgres.Server]:
    """A PostgreSQL server, shared by all tests; each makes a database of its own in it."""
    if postgres.missing():
        pytest.skip(postgres.missing())
    with postgres.server() as server:
        yield server
