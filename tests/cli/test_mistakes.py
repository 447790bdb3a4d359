"""What an operator may get wrong: a sentence that says what to do, and never a traceback."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mtor_kernel.locate import find_or_start
from mtor_kernel.protocol.errors import RealmUnreachable

pytestmark = pytest.mark.slow


@pytest.fixture
def surroundings(tmp_path: Path) -> dict[str, str]:
    return os.environ | {
        "MTOR_DATA": str(tmp_path / "data"),
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
    }


def refusal(surroundings: dict[str, str], *words: str) -> str:
    """Run the command, which must say one sentence and end with 1; return what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "mtor_kernel.cli", *words],
        env=surroundings,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("mtor: ")
    return last


@pytest.mark.parametrize("words", [("ask", "hi"), ("realm", "run"), ("pull", "smollm2")])
def test_a_data_directory_that_is_none(
    surroundings: dict[str, str], tmp_path: Path, words: tuple[str, ...]
) -> None:
    (tmp_path / "data").touch()
    said = refusal(surroundings, *words)
    assert f"{tmp_path / 'data'}, cannot be used" in said
    assert "MTOR_DATA" in said


@pytest.mark.parametrize("words", [("ask", "hi"), ("realm", "run"), ("realm", "status")])
def test_a_runtime_directory_that_cannot_be_made(
    surroundings: dict[str, str], tmp_path: Path, words: tuple[str, ...]
) -> None:
    (tmp_path / "runtime").touch()
    assert "JUPYTER_RUNTIME_DIR" in refusal(surroundings, *words)


@pytest.mark.parametrize(
    ("name", "file"),
    [("MTOR_DATA", "data/realm.log"), ("JUPYTER_RUNTIME_DIR", "runtime/mtor-starting.lock")],
)
def test_a_directory_in_which_nothing_can_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, file: str
) -> None:
    monkeypatch.setenv("MTOR_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    # Root may write everywhere, but into no folder's place.
    (tmp_path / file).mkdir(parents=True)
    with pytest.raises(RealmUnreachable, match=f"cannot be used.*{name}"):
        find_or_start()


@pytest.fixture
def taken() -> Iterator[int]:
    """A port of loopback on which something listens."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        yield listening.getsockname()[1]


def test_a_port_that_is_taken(surroundings: dict[str, str], taken: int) -> None:
    said = refusal(surroundings, "realm", "run", "--port", str(taken))
    assert f"cannot listen on port {taken}" in said


@pytest.mark.parametrize(
    ("option", "value"), [("--port", "70000"), ("--port", "-1"), ("--idle-seconds", "-1")]
)
def test_a_figure_that_cannot_be(surroundings: dict[str, str], option: str, value: str) -> None:
    said = refusal(surroundings, "realm", "run", option, value)
    assert option.strip("-").replace("-", "_") in said
    assert value in said


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("this is no Python", "SyntaxError"),
        ("c.Realm.x = 1 / 0", "ZeroDivisionError"),
        ("c.PersonalRealm.workers = 'many'", "workers"),
        ("c.Realm.catalogue_path = '/none.toml'", "/none.toml: No such file"),
    ],
)
def test_a_configuration_that_cannot_be(
    surroundings: dict[str, str], tmp_path: Path, text: str, says: str
) -> None:
    (tmp_path / "realm_config.py").write_text(f"c = get_config()\n{text}\n")
    said = refusal(surroundings, "realm", "run", "--config", str(tmp_path / "realm_config.py"))
    assert says in said


def test_who_reads_only_the_beginning_is_no_fault(surroundings: dict[str, str]) -> None:
    command = f"{sys.executable} -m mtor_kernel.cli doctor | head -1"
    done = subprocess.run(
        ["bash", "-c", command],
        env=surroundings,
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("Models\n", "")
