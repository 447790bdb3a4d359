"""One Hub for all tests of a run that leave it as it was."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.browser.conftest import Browsers
from tests.hub.hub_process import Hub, serve_hub


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A Hub with two users, ann and ben, a sysop by group, sue, and a Hub admin, root."""
    with serve_hub(tmp_path_factory.mktemp("hub")) as served:
        served.add("ann", "ben", "sue", "root")
        yield served


@pytest_asyncio.fixture
async def browsers() -> AsyncIterator[Browsers]:
    """Browsers that end with the test."""
    made = Browsers()
    yield made
    await made.close()
