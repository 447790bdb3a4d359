"""A Jupyter server with the extension, and something behind it.

pytest-jupyter's fixtures and its way to run coroutines are taken in here, for this folder only: as
a plugin they would be in force for every other test as well.
"""

from collections.abc import Iterator

import pytest
from pytest_jupyter.jupyter_server import *  # noqa: F403 - the fixtures, and the hooks beside them
from traitlets.config import Config

from tests.server.upstream import Upstream


@pytest.fixture
def jp_server_config() -> Config:
    return Config(
        {
            "ServerApp": {
                "jpserver_extensions": {"mtor_kernel": True},
                "allow_unauthenticated_access": False,
            },
            "MtorExtension": {"max_body_bytes": 3 * 1024 * 1024},
        }
    )


@pytest.fixture
def upstream(jp_asyncio_loop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Upstream]:
    """What the relay finds: the environment names it."""
    double = jp_asyncio_loop.run_until_complete(Upstream().start())
    monkeypatch.setenv("MTOR_URL", double.url)
    monkeypatch.setenv("MTOR_TOKEN", double.token)
    yield double
    jp_asyncio_loop.run_until_complete(double.stop())
