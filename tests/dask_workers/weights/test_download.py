"""A download goes on where it broke off, and ends with the published file or with none."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dask_workers.weights import WeightsError
from dask_workers.weights.bundle import File
from dask_workers.weights.download import download
from tests.dask_workers.weights.hub_double import HubDouble, Trouble

CONTENT = random.Random(7).randbytes(700_000)


@pytest.fixture
def hub() -> Iterator[HubDouble]:
    with HubDouble(CONTENT).running() as double:
        yield double


def fetch(hub: HubDouble, target: Path, **how: object) -> list[float]:
    """Download it, and return the pauses that it asked for."""
    pauses: list[float] = []
    download(hub.file, hub.file_url, target, pause=pauses.append, **how)  # type: ignore[arg-type]
    return pauses


def test_a_file_arrives_whole_and_leaves_nothing_beside_it(hub: HubDouble, tmp_path: Path) -> None:
    told: list[int] = []

    def measure(file: File, done: int) -> None:
        told.append(done)

    assert fetch(hub, tmp_path / "deep" / "model.gguf", measure=measure) == []
    assert (tmp_path / "deep" / "model.gguf").read_bytes() == CONTENT
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["model.gguf"]
    assert told[0] == 0
    assert told[-1] == len(CONTENT)
    assert told == sorted(told)


def test_a_broken_connection_is_taken_up_where_it_broke(hub: HubDouble, tmp_path: Path) -> None:
    hub.troubles = [Trouble(break_after=300_000), Trouble(break_after=100_000)]
    pauses = fetch(hub, tmp_path / "model.gguf")
    assert (tmp_path / "model.gguf").read_bytes() == CONTENT
    assert hub.asked == [None, "bytes=300000-", "bytes=400000-"]
    assert pauses == [1.0, 1.0], "whoever gets on does not wait longer and longer"


def test_a_server_that_is_busy_is_asked_again_when_it_says(hub: HubDouble, tmp_path: Path) -> None:
    hub.troubles = [Trouble(status=503), Trouble(status=429, retry_after="7"), Trouble(status=500)]
    assert fetch(hub, tmp_path / "model.gguf") == [1.0, 7.0, 4.0]
    assert (tmp_path / "model.gguf").read_bytes() == CONTENT


def test_a_server_that_stays_down_is_given_up_and_what_is_here_stays(
    hub: HubDouble, tmp_path: Path
) -> None:
    hub.troubles = [Trouble(break_after=300_000), *[Trouble(status=503)] * 9]
    with pytest.raises(WeightsError, match=r"status 503.*stays"):
        fetch(hub, tmp_path / "model.gguf")
    assert not (tmp_path / "model.gguf").exists()
    hub.troubles, hub.asked = [], []
    fetch(hub, tmp_path / "model.gguf")
    assert hub.asked == ["bytes=300000-"]
    assert (tmp_path / "model.gguf").read_bytes() == CONTENT


def test_a_file_that_has_changed_meanwhile_is_fetched_anew(hub: HubDouble, tmp_path: Path) -> None:
    old, hub.content = hub.content, bytes(len(CONTENT))
    hub.troubles = [Trouble(break_after=300_000), *[Trouble(status=503)] * 9]
    with pytest.raises(WeightsError):
        fetch(hub, tmp_path / "model.gguf")
    hub.content, hub.etag, hub.troubles = old, '"two"', []
    fetch(hub, tmp_path / "model.gguf")
    assert (tmp_path / "model.gguf").read_bytes() == CONTENT


def test_a_server_without_ranges_is_fetched_from_all_the_same(
    hub: HubDouble, tmp_path: Path
) -> None:
    hub.troubles = [Trouble(break_after=300_000), Trouble(ignore_range=True)]
    fetch(hub, tmp_path / "model.gguf")
    assert (tmp_path / "model.gguf").read_bytes() == CONTENT


def test_another_content_is_thrown_away(hub: HubDouble, tmp_path: Path) -> None:
    file = hub.file
    hub.content = bytes(len(CONTENT))
    with pytest.raises(WeightsError, match="SHA-256"):
        download(file, hub.file_url, tmp_path / "model.gguf")
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_another_size_is_not_even_begun(hub: HubDouble, tmp_path: Path) -> None:
    file = hub.file
    hub.content += b"and more"
    with pytest.raises(WeightsError, match="700,008 bytes"):
        download(file, hub.file_url, tmp_path / "model.gguf")
    assert list(tmp_path.iterdir()) == []


def test_what_is_gone_or_closed_is_not_asked_for_again(hub: HubDouble, tmp_path: Path) -> None:
    hub.troubles = [Trouble(status=401)]
    with pytest.raises(WeightsError, match="status 401"):
        fetch(hub, tmp_path / "model.gguf")
    assert len(hub.asked) == 1


def test_a_redirect_is_followed_with_the_range(hub: HubDouble, tmp_path: Path) -> None:
    away = Trouble(redirect=hub.file_url)
    hub.troubles = [away, Trouble(break_after=300_000), away]
    fetch(hub, tmp_path / "model.gguf")
    assert hub.asked[-1] == "bytes=300000-"
    assert (tmp_path / "model.gguf").read_bytes() == CONTENT


@pytest.mark.parametrize("where", ["http://example.org/model", "ftp://example.org/m", "file:///m"])
def test_only_https_is_fetched_from_also_after_a_redirect(
    hub: HubDouble, tmp_path: Path, where: str
) -> None:
    with pytest.raises(WeightsError, match="only https"):
        download(hub.file, where, tmp_path / "model.gguf")
    hub.troubles = [Trouble(redirect=where)]
    with pytest.raises(WeightsError, match=r"only https|status 302"):
        fetch(hub, tmp_path / "model.gguf")


def test_a_refused_connection_is_one_sentence(tmp_path: Path) -> None:
    file = HubDouble(CONTENT).file
    with pytest.raises(WeightsError, match=r"127\.0\.0\.1:9"):
        download(file, "http://127.0.0.1:9/x", tmp_path / "m.gguf", pause=lambda seconds: None)


def test_a_file_that_does_not_fit_on_the_disk_is_not_begun(hub: HubDouble, tmp_path: Path) -> None:
    huge = hub.file._replace(size_bytes=shutil.disk_usage(tmp_path).total * 2)
    with pytest.raises(WeightsError, match="make space"):
        download(huge, hub.file_url, tmp_path / "model.gguf")
    assert hub.asked == []


_CHILD = """
import sys
from pathlib import Path
from dask_workers.weights import File
from dask_workers.weights.download import download
url, target, size = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
download(File("model.gguf", size, "", ()), url, target)
"""


@pytest.mark.fault
def test_an_interrupt_leaves_what_is_here_for_the_next_time(hub: HubDouble, tmp_path: Path) -> None:
    hub.troubles = [Trouble(break_after=300_000, stall=True)]
    target = tmp_path / "model.gguf"
    arguments = [hub.file_url, str(target), str(len(CONTENT))]
    child = subprocess.Popen([sys.executable, "-c", _CHILD, *arguments], stderr=subprocess.PIPE)
    part, deadline = tmp_path / ".model.gguf.part", time.monotonic() + 30
    while not part.exists() or part.stat().st_size < 300_000:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=30)
    assert b"KeyboardInterrupt" in said
    fetch(hub, target)
    assert target.read_bytes() == CONTENT
    assert hub.asked[-1] == "bytes=300000-"
