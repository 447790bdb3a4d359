"""Start the personal realm and wait until it answers."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from mtor_kernel.locate.runtime import Runtime, RuntimeFile, data_dir, is_well, unusable
from mtor_kernel.protocol.errors import RealmUnreachable

#: How long a new personal realm may take until it answers, in seconds.
START_SECONDS = 60.0
#: Between two looks for a realm that is starting, in seconds.
LOOK_SECONDS = 0.05
#: The log of personal realms is set aside when it has grown beyond this, in bytes.
MAX_LOG_BYTES = 1024 * 1024
#: How much of the log an error shows, in lines.
SHOWN_LOG_LINES = 15

#: Realms that this process started: asked after now and then, so that none stays a zombie.
_started: list[subprocess.Popen[bytes]] = []


def start(file: RuntimeFile, deadline: float) -> Runtime:
    """Start the personal realm and return what it says of itself.

    The caller holds the starting lock. Where a realm is starting or ending by other hands, wait
    for that first.

    Raises
    ------
    RealmUnreachable
        It ended, or does not answer by `deadline` (monotonic); shows the end of its log.
    """
    log = data_dir() / "realm.log"
    realm: subprocess.Popen[bytes] | None = None
    begin = 0
    while time.monotonic() < deadline:
        runtime = file.read()
        if runtime is not None and is_well(runtime):
            return runtime
        if realm is None:
            if file.clear_stale():
                try:
                    begin = _open_log(log)
                except OSError as error:
                    what = "MTOR's data directory"
                    raise unusable(log.parent, error, what, "MTOR_DATA") from None
                realm = _spawn(log)
        elif realm.poll() is not None and file.clear_stale():
            raise RealmUnreachable(
                f"Your realm ended while it started (status {realm.returncode}). "
                + _end_of(log, begin)
            )
        time.sleep(LOOK_SECONDS)
    if realm is None:
        raise RealmUnreachable(
            "Your realm runs but does not answer. Stop it with `mtor realm stop`, then try again."
        )
    raise RealmUnreachable("Your realm did not answer in time. " + _end_of(log, begin))


def _spawn(log: Path) -> subprocess.Popen[bytes]:
    """Start a process that outlives this one and its terminal."""
    _started[:] = [realm for realm in _started if realm.poll() is None]
    with log.open("ab") as output:
        realm = subprocess.Popen(
            [sys.executable, "-m", "mtor_kernel.cli", "realm", "run", "--personal"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # Not the notebook's folder: `-m` would import a random.py that lies there.
            cwd=log.parent,
            start_new_session=True,
        )
    _started.append(realm)
    return realm


def _open_log(log: Path) -> int:
    """Make the log ready, for its owner's eyes only; return where the new lines begin."""
    if log.exists() and log.stat().st_size > MAX_LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
    log.touch(mode=0o600)
    log.open("ab").close()
    log.chmod(0o600)
    return log.stat().st_size


def _end_of(log: Path, begin: int) -> str:
    """Return what the new realm has written, for an error's sentence."""
    with log.open("rb") as file:
        file.seek(begin)
        lines = file.read().decode(errors="replace").splitlines()[-SHOWN_LOG_LINES:]
    said = "\n".join(lines) or "(it wrote nothing)"
    return f"`mtor doctor` looks for the cause. The end of its log, {log}:\n{said}"
