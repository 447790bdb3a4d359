"""What the extension costs before it is used, and what its first use does."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mtor_kernel.locate import RuntimeFile
from tests.personal import end_realms, started_realms

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_loading_the_extension_loads_nothing_heavy() -> None:
    program = """
import jupyter_server.serverapp, sys
before = set(sys.modules)
import mtor_kernel
mtor_kernel._jupyter_server_extension_points()
heavy = {"dask", "distributed", "filelock", "psutil", "sqlalchemy", "aiohttp"}
assert not (set(sys.modules) - before) & heavy
"""
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=100)


@pytest.fixture
def place(tmp_path: Path, jp_environ, monkeypatch: pytest.MonkeyPatch) -> Iterator[RuntimeFile]:
    monkeypatch.setenv("MTOR_DATA", os.fspath(tmp_path / "mtor"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", os.fspath(tmp_path / "runtime"))
    file = RuntimeFile()
    yield file
    end_realms(file)


@pytest.mark.slow
async def test_many_first_requests_start_one_realm(place: RuntimeFile, jp_fetch) -> None:
    assert place.read() is None
    asking = [jp_fetch("mtor", "api", "me", request_timeout=100) for _ in range(8)]
    answers = await asyncio.gather(*asking)
    users = {json.loads(answer.body)["user"] for answer in answers}
    assert len(users) == 1
    assert len(started_realms()) == 1
    runtime = place.read()
    assert runtime is not None
    for answer in answers:
        assert runtime.token not in str(answer.headers) + answer.body.decode()
