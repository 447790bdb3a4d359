"""The command line as a person or an operator uses it, against a realm of its own."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from mtor_kernel.cli import COMMANDS
from mtor_kernel.client import Realm
from mtor_kernel.locate import RuntimeFile
from mtor_kernel.protocol.lifecycle import Stage
from mtor_kernel.storage import Store, audit
from tests.faults.processes import PATIENCE_SECONDS, RealmProcess, realm_process
from tests.postgres import Server
from tests.realms import CATALOGUE

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
        timeout=100,
        check=False,
    )


#: Says a word and then nothing more.
HALTING = """
[[models]]
name = "halting"
modality = "chat"
backend = "echo"
rates = { output_token_micro = 5 }
settings = { chunks = 2, hang = true, fail_after = 1 }
"""


@pytest.fixture(scope="module")
def realm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealmProcess]:
    """One realm for all of them."""
    with realm_process(tmp_path_factory.mktemp("realm"), catalogue=CATALOGUE + HALTING) as realm:
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


@pytest.mark.parametrize(("model", "said"), [("stuck", ""), ("halting", "hello ")])
def test_an_interrupt_cancels_the_query_and_frees_what_was_held(
    realm: RealmProcess, model: str, said: str
) -> None:
    asked = subprocess.Popen(
        [sys.executable, "-m", "mtor_kernel.cli", "ask", "-m", model, "hello"],
        env=os.environ | realm.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with Realm(realm.runtime.url, realm.runtime.token) as looking:
        assert asked.stdout is not None
        assert asked.stdout.read(len(said)) == said
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (found := looking.queries(model=model, status="running")):
            assert time.monotonic() < deadline
        assert looking.me().held_micro > 0
        asked.send_signal(signal.SIGINT)
        _, told = asked.communicate(timeout=PATIENCE_SECONDS)
        assert asked.returncode == 130
        # On a machine that is busy its end may not be known in time.
        assert re.fullmatch(r"\n(cancelled · .* charged|cancelling · .* what it cost)\n", told)
        while looking.info(found[0].id).stage is not Stage.CANCELLED:
            assert time.monotonic() < deadline + PATIENCE_SECONDS
        assert looking.me().held_micro == 0
        assert looking.ask("hello", "echo").text == "hello"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_cancels_the_query_too(realm: RealmProcess, number: signal.Signals) -> None:
    with (
        subprocess.Popen(
            [sys.executable, "-m", "mtor_kernel.cli", "ask", "-m", "stuck", "hello"],
            env=os.environ | realm.environment,
            stdin=subprocess.DEVNULL,
            # Who runs the tests under nohup has it ignored, and so has a child.
            preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
        ) as asked,
        Realm(realm.runtime.url, realm.runtime.token) as looking,
    ):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (found := looking.queries(model="stuck", status="running")):
            assert time.monotonic() < deadline
        asked.send_signal(number)
        assert asked.wait(PATIENCE_SECONDS) == 128 + number
        while looking.info(found[0].id).stage is not Stage.CANCELLED:
            assert time.monotonic() < deadline
        assert looking.me().held_micro == 0


def test_what_a_terminal_obeys_is_not_printed(realm: RealmProcess) -> None:
    done = mtor(realm, "ask", "-m", "echo", "one\x1b[2J \x9b31m \u202etwo\ttabbed\nline")
    assert (done.returncode, done.stdout) == (0, "one[2J 31m two\ttabbed\nline\n")


def test_a_terminal_that_cannot_show_a_character_is_shown_the_rest(realm: RealmProcess) -> None:
    done = mtor(realm, "ask", "-m", "echo", "a cat 🐈 here", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stdout) == (0, "a cat ? here\n")
    assert done.stderr.startswith("echo ? ")


def test_an_answer_that_nobody_can_read_is_no_fault(realm: RealmProcess) -> None:
    command = f"{sys.executable} -m mtor_kernel.cli ask -m echo hi >&-"
    done = subprocess.run(
        ["bash", "-c", command],
        env=os.environ | realm.environment,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=100,
        check=True,
    )
    assert done.stderr.startswith("echo · ")
    assert len(done.stderr.splitlines()) == 1


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
    for line in (
        f"SQLite {sqlite3.sqlite_version}",
        "a realm writes with synchronous FULL",
        "journal mode wal",
        "quick check: ok",
        f"{realm.data} has mode 700",
        "smollm2 (chat)",
        "worker worker-0 is well",
        "127.0.0.1:",
    ):
        assert line in done.stdout
    for kind in ("scheduler", "worker"):
        assert re.search(rf"ok +{kind} tls://127\.0\.0\.1:\d+ takes members by cert", done.stdout)
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


@pytest.mark.fault
def test_a_realm_that_hangs_is_ended_by_stop_too(tmp_path: Path) -> None:
    with realm_process(tmp_path) as realm:
        family = [realm.child("scheduler"), realm.child("worker")]
        frozen = psutil.Process(realm.runtime.pid)
        frozen.suspend()
        done = mtor(realm, "realm", "stop")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == "The realm did not answer. Its process has been ended.\n"
        assert psutil.wait_procs(family, timeout=PATIENCE_SECONDS)[1] == []
        assert mtor(realm, "realm", "stop").stdout == "No realm of yours runs.\n"


@pytest.mark.fault
@pytest.mark.parametrize("change", ["gone", "garbage", "another token", "with its folder"])
def test_a_realm_whose_runtime_file_was_tampered_with_is_found_again(
    tmp_path: Path, change: str
) -> None:
    with realm_process(tmp_path) as realm:
        assert mtor(realm, "ask", "-m", "echo", "hello").returncode == 0
        file = RuntimeFile(tmp_path / "runtime")
        match change:
            case "gone":
                file.path.unlink()
            case "garbage":
                file.path.write_text("{")
            case "another token":
                told = file.path.read_text().replace(realm.runtime.token, "none of its own")
                file.path.write_text(told)
            case _:
                shutil.rmtree(file.path.parent)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while file.path.parent.exists() is False or file.read() != realm.runtime:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert file.path.stat().st_mode & 0o777 == 0o600
        assert mtor(realm, "ask", "-m", "echo", "hello").returncode == 0


@pytest.mark.fault
@pytest.mark.parametrize("gone", ["", "realm.sqlite", "blobs"])
def test_a_realm_whose_data_is_deleted_ends_and_the_next_one_begins_anew(
    tmp_path: Path, gone: str
) -> None:
    with realm_process(tmp_path) as realm:
        assert mtor(realm, "ask", "-m", "echo", "hello").returncode == 0
        lost = realm.data / gone
        lost.unlink() if lost.is_file() else shutil.rmtree(lost)
        if gone == "realm.sqlite":
            lost.touch()  # as who begins anew might do: it is another file
        assert realm.wait() == 1
        assert f"mtor: The realm ends: its store, {realm.data}" in realm.log()
        assert RuntimeFile(tmp_path / "runtime").read() is None
        realm.start()
        assert mtor(realm, "ask", "-m", "echo", "hello").returncode == 0


def test_a_file_that_others_could_read_is_not_put_right_in_silence(realm: RealmProcess) -> None:
    file = RuntimeFile(Path(realm.environment["JUPYTER_RUNTIME_DIR"]))
    file.path.chmod(0o644)
    done = mtor(realm, "ask", "-m", "echo", "hello")
    assert (done.returncode, "open to other accounts" in done.stderr) == (1, True)
    file.path.chmod(0o600)
