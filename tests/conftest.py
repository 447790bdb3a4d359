"""What every test gets: no realm, token or runtime directory of whoever runs the tests."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

#: Where to find a realm and who is asking: a test that wants these sets them itself.
REALM_VARIABLES = ("MTOR_URL", "MTOR_TOKEN", "JUPYTERHUB_API_TOKEN", "JUPYTERHUB_API_URL")


@pytest.fixture(scope="session", autouse=True)
def a_home_of_their_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Point Jupyter's and IPython's directories at a temporary folder, for child processes too."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as environment:
        for name in REALM_VARIABLES:
            environment.delenv(name, raising=False)
        environment.setenv("JUPYTER_RUNTIME_DIR", os.fspath(home / "runtime"))
        environment.setenv("JUPYTER_CONFIG_DIR", os.fspath(home / "config"))
        environment.setenv("IPYTHONDIR", os.fspath(home / "ipython"))
        yield home
