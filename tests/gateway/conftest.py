"""One small realm with a gateway for all tests of a file that harm neither."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.gateway.helpers import FUNDS, Door, open_door
from tests.realms import small_realm


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def door(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Door]:
    """A gateway that serves a realm with one worker."""
    folder = tmp_path_factory.mktemp("realm")
    async with small_realm(folder, config=FUNDS) as small, open_door(small) as door:
        yield door
