"""What the realm's own cluster is not told."""

import os
from pathlib import Path

import psutil
import pytest

from mtor_kernel.realm.certs import ensure_certs
from mtor_kernel.realm.cluster import Cluster


@pytest.mark.slow
@pytest.mark.asyncio
async def test_scheduler_and_workers_do_not_inherit_what_opens_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("JUPYTERHUB_API_TOKEN", "MTOR_METRICS_TOKEN", "ANTHROPIC_API_KEY"):
        monkeypatch.setenv(name, "secret")

    async def moved(address: str) -> None:
        """It goes nowhere."""

    cluster = Cluster(tmp_path / "dask", ensure_certs(tmp_path / "tls"), workers=1)
    try:
        await cluster.open(moved)
        family = [
            child
            for child in psutil.Process(os.getpid()).children()
            if str(tmp_path) in " ".join(child.cmdline())
        ]
        assert len(family) == 2
        for child in family:
            told = [name for name, value in child.environ().items() if value == "secret"]
            assert told == ["ANTHROPIC_API_KEY"]
    finally:
        await cluster.close()
