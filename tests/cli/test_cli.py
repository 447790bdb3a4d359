"""The command line as a person or an operator uses it, against a realm of its own."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mtor_kernel.cli import COMMANDS
from mtor_kernel.storage import Store, audit
from tests.faults.processes import RealmProcess, realm_process
from tests.postgres import Server

pytestmark = pytest.mark.slow


def mtor(realm: RealmProcess | None, *words: str, **how: str) -> subprocess.CompletedProcess[str]:
    """Run the command in the realm's surroundings."""
    environment = os.environ | how | (realm.environment if realm is not None else {})
    return subprocess.run(
        [sys.executable, "-m", "mtor_kernel.cli", *words],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def realm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealmProcess]:
    """One realm for all of them."""
    with realm_process(tmp_path_factory.mktemp("realm")) as realm:
        yield realm


def test_help_names_every_command_and_each_has_a_page_of_its_own() -> None:
    shown = mtor(None, "--help").stdout
    for name in COMMANDS:
        assert name in shown
        assert mtor(None, name, "--help").returncode == 0


def test_an_answer_goes_to_stdout_and_what_it_cost_to_stderr(realm: RealmProcess) -> None:
    done = mtor(realm, "ask", "-m", "echo", "hello", "there")
    assert (done.returncode, done.stdout) == (0, "hello there\n")
    assert done.stderr.startswith("echo · ")
    assert done.stderr.rstrip().endswith("credits")


def test_what_a_terminal_obeys_is_not_printed(realm: RealmProcess) -> None:
    done = mtor(realm, "ask", "-m", "echo", "one\x1b[2J \x9b31m \u202etwo\ttabbed\nline")
    assert (done.returncode, done.stdout) == (0, "one[2J 31m two\ttabbed\nline\n")


def test_a_picture_that_is_none_is_one_sentence(realm: RealmProcess, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    for name, says in (("notes.txt", "not a picture"), ("none.png", "no file")):
        done = mtor(realm, "ask", "--image", str(tmp_path / name), "What is it?")
        assert done.returncode == 1
        assert says in done.stderr
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("-m", "ecco", "hello"), "Did you mean 'echo'"),
        (("-m", "echo", "--max-tokens", "900000", "hello"), "max_tokens"),
        (("-m", "echo", " "), "empty"),
        (("-m", "Not a name", "hello"), "model"),
        (("-m", "echo", "-t", "9", "hello"), "temperature"),
    ],
)
def test_a_question_that_is_wrong_is_one_sentence_and_a_status(
    realm: RealmProcess, words: tuple[str, ...], says: str
) -> None:
    done = mtor(realm, "ask", *words)
    assert done.returncode == 1
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_status_says_where_it_is_and_who_serves(realm: RealmProcess) -> None:
    done = mtor(realm, "realm", "status")
    assert done.returncode == 0
    assert realm.runtime.url in done.stdout
    assert realm.runtime.token not in done.stdout
    assert "echo" in done.stdout


def test_a_second_realm_of_the_same_person_is_refused(realm: RealmProcess) -> None:
    done = mtor(realm, "realm", "run")
    assert done.returncode == 1
    assert "runs already" in done.stderr


def test_the_doctor_finds_a_personal_realm_well_and_shows_no_secret(realm: RealmProcess) -> None:
    done = mtor(realm, "doctor", ANTHROPIC_API_KEY="sk-canary")
    assert done.returncode == 0, done.stdout
    assert "BAD" not in done.stdout
    assert "ANTHROPIC_API_KEY" in done.stdout
    assert "sk-canary" not in done.stdout + done.stderr
    assert "127.0.0.1:" in done.stdout
    for what in ("ledger", "audit log", "seals"):
        assert f"nothing is wrong with the {what}" in done.stdout


def test_a_sysop_runs_the_place_from_a_terminal(realm: RealmProcess) -> None:
    for words in (
        "pause repairs",
        "unpause",
        "notice Back at noon.",
        "quota --role user waiting=5",
    ):
        done = mtor(realm, "sysop", *words.split())
        assert done.returncode == 0, done.stderr
    shown = mtor(realm, "sysop", "audit").stdout
    for word in ("pause", "repairs", "unpause", "Back at noon.", "quota", '"waiting":5'):
        assert word in shown
    assert "no floor" in mtor(realm, "sysop", "people").stdout
    check = mtor(realm, "sysop", "check")
    assert (check.returncode, check.stdout.count("all is well")) == (0, 3)
    refused = mtor(realm, "sysop", "quota", "--role", "wizard", "waiting=5")
    assert (refused.returncode, "wizard" in refused.stderr) == (1, True)
    assert mtor(realm, "sysop", "quota", "--help").returncode == 0


def test_the_doctor_names_the_first_row_that_was_changed(
    tmp_path: Path,
) -> None:
    store = Store.open(f"sqlite:///{tmp_path}/realm.sqlite", tmp_path / "blobs")
    for number in range(3):
        store.write_sync(
            lambda db, n=number: audit.record(db, "root", "grant", f"p{n}", "", {}, 0.0)
        )
    store.close()
    with closing(sqlite3.connect(tmp_path / "realm.sqlite", isolation_level=None)) as conn:
        conn.execute("DROP TRIGGER audit_no_update")
        conn.execute("UPDATE audit SET subject = 'eve' WHERE id = 2")
    done = mtor(None, "doctor", MTOR_DATA=str(tmp_path))
    assert done.returncode == 1
    bad = [line for line in done.stdout.splitlines() if "audit log: " in line]
    assert "BAD" in bad[0]
    assert bad[0].endswith("audit row 2 is not what was written, or the one before it")
    assert "nothing is wrong with the ledger" in done.stdout


def test_the_doctor_looks_at_postgresql(postgresql: Server, tmp_path: Path) -> None:
    url = postgresql.schema()
    told = ("doctor", "--database", url)
    tmp_path.chmod(0o700)
    before = mtor(None, *told, MTOR_DATA=str(tmp_path))
    assert "no realm has run there yet" in before.stdout, before.stderr
    Store.open(url, tmp_path / "blobs").close()
    done = mtor(None, *told, MTOR_DATA=str(tmp_path))
    assert done.returncode == 1
    assert "ok    PostgreSQL 1" in done.stdout
    assert "BAD   fsync off: a power cut may destroy the database" in done.stdout
    assert "ok    synchronous_commit on" in done.stdout
    assert "max_connections 60" in done.stdout
    assert "nothing is wrong with the ledger" in done.stdout
    assert postgresql.password not in done.stdout + done.stderr
    postgresql.drop(url)


@pytest.mark.parametrize("words", [("realm", "run"), ("doctor",)])
def test_a_password_on_the_command_line_is_refused_and_not_shown(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    done = mtor(None, *words, "--database", "postgresql://u:s3cret@h/db", MTOR_DATA=str(tmp_path))
    assert done.returncode == 1
    assert "~/.pgpass" in done.stdout + done.stderr
    assert "s3cret" not in done.stdout + done.stderr


def test_a_worker_without_its_certificate_is_told_what_it_needs() -> None:
    done = mtor(None, "worker", "tls://127.0.0.1:8786")
    assert done.returncode == 2
    assert "--tls-cert" in done.stderr


def test_what_this_machine_could_hold_is_listed_without_a_realm(tmp_path: Path) -> None:
    done = mtor(None, "models", "--available", MTOR_DATA=str(tmp_path))
    assert done.returncode == 0
    head, *models = done.stdout.splitlines()
    assert "MB of RAM" in head
    assert {line.split()[0] for line in models} >= {"smollm2", "qwen2.5-7b", "sd15"}
    assert all("fits: mtor pull" in line for line in models if line.startswith("minilm "))


def test_the_models_of_a_realm_are_listed(realm: RealmProcess) -> None:
    done = mtor(realm, "models")
    assert done.returncode == 0
    assert any(
        line.startswith("chat ") and "stands for" in line for line in done.stdout.splitlines()
    )


def test_pulled_weights_are_not_pulled_again(realm: RealmProcess) -> None:
    done = mtor(None, "pull", "smollm2")
    assert done.returncode == 0
    assert [file.suffix for file in Path(done.stdout.strip()).iterdir()] == [".gguf"]
    assert done.stderr == ""


@pytest.mark.fault
def test_stop_ends_the_realm_and_its_children(tmp_path: Path) -> None:
    with realm_process(tmp_path) as realm:
        assert mtor(realm, "ask", "-m", "echo", "are all there?").returncode == 0
        scheduler, worker = realm.child("scheduler"), realm.child("worker")
        done = mtor(realm, "realm", "stop")
        assert (done.returncode, done.stdout) == (0, "The realm has ended.\n")
        assert not scheduler.is_running()
        assert not worker.is_running()
        assert mtor(realm, "realm", "stop").stdout == "No realm of yours runs.\n"
        assert mtor(realm, "realm", "status").returncode == 1
