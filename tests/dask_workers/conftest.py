"""What tests of the workers share: a gateway, a worker without Dask around it, real weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dask_workers.discovery import discover
from dask_workers.runtime import Runtime
from dask_workers.weights import find_file, pull
from mtor_kernel.protocol.backend import ModelSpec
from tests.dask_workers.gateway_double import GatewayDouble


@pytest.fixture
def gateway() -> Iterator[GatewayDouble]:
    with GatewayDouble() as double:
        yield double


@pytest.fixture
def make_worker() -> Iterator[Callable[..., Runtime]]:
    """Makes workers that serve some models, with no Dask around them."""
    made: list[Runtime] = []

    def make(*specs: ModelSpec, **how: Any) -> Runtime:
        runtime = Runtime("w1", threads=8, **how)
        runtime.serve(discover(specs))
        made.append(runtime)
        return runtime

    yield make
    for runtime in made:
        runtime.close("the test is over")


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """The real weights, kept where `make` keeps them: a second run fetches nothing."""
    pull("smollm2")
    found = find_file("smollm2")
    assert found is not None
    return found
