"""One small realm with a gateway for all tests of a file that harm neither."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests import plugins
from tests.gateway.helpers import FUNDS, Door, open_door
from tests.plugins import HELD, HeldBackend
from tests.realms import CATALOGUE, small_realm


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def door(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Door]:
    """A gateway that serves a realm with one worker."""
    folder = tmp_path_factory.mktemp("realm")
    with plugins.held(folder / "plugins", math.inf):
        async with (
            small_realm(folder, catalogue=CATALOGUE + HELD, config=FUNDS) as small,
            open_door(small) as door,
        ):
            yield door


@pytest.fixture
def held() -> Iterator[None]:
    """Have each answer of the model `held` stop after its first word, until the test goes on."""
    HeldBackend.let(1)
    yield
    HeldBackend.let()
