"""A realm with models that answer at once, and the kernel of this tree."""

from collections.abc import Iterator

import pytest

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
