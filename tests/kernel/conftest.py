"""A realm, and kernels that know where it is."""

from collections.abc import Iterator

import pytest

from tests.kernel.driving import Kernel, kernel, offer_kernels
from tests.kernel.elsewhere import MORE, RealmElsewhere
from tests.led import LED, led
from tests.realms import CATALOGUE


@pytest.fixture(scope="session", autouse=True)
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with offer_kernels(tmp_path_factory.mktemp("jupyter")):
        yield


@pytest.fixture(scope="module")
def realm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealmElsewhere]:
    folder = tmp_path_factory.mktemp("realm")
    with led(folder):
        elsewhere = RealmElsewhere(folder, CATALOGUE + MORE + LED)
        yield elsewhere
        elsewhere.close()


@pytest.fixture(scope="module")
def mtor(realm: RealmElsewhere) -> Iterator[Kernel]:
    """The MTOR kernel."""
    with kernel("mtor", **realm.environment) as running:
        yield running


@pytest.fixture(scope="module")
def python(realm: RealmElsewhere) -> Iterator[Kernel]:
    """The plain Python kernel with the extension loaded."""
    with kernel("python3", **realm.environment) as running:
        assert running.run("%load_ext mtor_kernel").status == "ok"
        yield running
